"""Every loss of masks as wholes, in the forms that the contract tests.

A new one needs an entry in ``OVERLAP_CASES``: its name, its arguments, and the loss of
one mask, of logits and of probabilities, from a slow reference; and in ``OVERLAP_BAD``
what it must refuse.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch

from imb_det.core import ClassStatsListener
from imb_det.losses import manage_statistics
from imb_det.registry import MODELS
from tests.references import overlap

from .case import NUM_CLASSES, STATS

__all__ = ["OVERLAP_BAD", "OVERLAP_CASES", "OverlapCase", "make_masks", "make_points"]


@dataclass(frozen=True)
class OverlapCase:
    """A loss of masks with arguments.

    Attributes:
        loss: Registered name.
        of_logits: Loss of one mask, of its logits and targets as lists.
        of_probabilities: The same of probabilities; None where it takes none.
        arguments: Of the loss.
        is_hard: Whether it cuts masks at 0.5.
        is_bounded: Whether infinite logits have a finite loss.
    """

    loss: str
    of_logits: Callable
    of_probabilities: Callable | None
    arguments: dict = field(default_factory=dict)
    is_hard: bool = False
    is_bounded: bool = False

    @property
    def config(self):
        return dict(type=f"imb_det.{self.loss}", **self.arguments)

    def build(self, stats=STATS, **changes):
        """A loss as it is after training has started."""
        loss = MODELS.build({**self.config, **changes})
        for part in loss.modules():
            if isinstance(part, ClassStatsListener):
                part.set_class_stats(stats)
        manage_statistics(loss)
        return loss

    def __str__(self):
        words = [f"{key}={value}" for key, value in self.arguments.items()]
        return "-".join([self.loss, *words])


def _region(loss, function, **arguments):
    """A case of a loss that is the same function of probabilities everywhere."""

    def of_probabilities(pred, mask):
        return function(pred, mask, **_named(loss, arguments))

    def of_logits(logits, mask):
        return of_probabilities(list(map(overlap.sigmoid, logits)), mask)

    return OverlapCase(loss, of_logits, of_probabilities, arguments, is_bounded=True)


def _named(loss, arguments):
    names = {"naive_dice": "naive", "square_denominator": "square"}
    return {names.get(key, key): value for key, value in arguments.items()}


OVERLAP_CASES = [
    _region("DiceLoss", overlap.dice),
    _region("DiceLoss", overlap.dice, naive_dice=True, eps=1.0),
    _region("SelfAdjustingDiceLoss", overlap.self_adjusting_dice, alpha=0.3),
    _region(
        "SelfAdjustingDiceLoss",
        overlap.self_adjusting_dice,
        alpha=0.7,
        smooth=0.1,
        square_denominator=True,
    ),
    _region("TverskyLoss", overlap.tversky),
    _region(
        "TverskyLoss",
        overlap.tversky,
        fn_weight=0.4,
        fp_weight=0.9,
        gamma=4 / 3,
        smooth=1.0,
    ),
    OverlapCase(
        "LovaszLoss",
        overlap.lovasz_hinge,
        overlap.lovasz_of_probabilities,
        is_hard=True,
    ),
    OverlapCase("MaskCrossEntropyLoss", overlap.entropy, None),
    OverlapCase(
        "SpatialClassBalancedLoss",
        partial(overlap.spatial, weights=[(0.5, 0.5)] * 6, penalty=0.5),
        None,
    ),
]

#: One at a time, beside those of the loss's first case.
OVERLAP_BAD = {
    "DiceLoss": (dict(eps=0), dict(naive_dice=1), dict(use_sigmoid="yes")),
    "LovaszLoss": (
        dict(ignore_index=0.5),
        dict(ignore_index=0),
        dict(use_sigmoid=False, activate=False),
    ),
    "MaskCrossEntropyLoss": (dict(beta=1.0), dict(max_ratio=0.5)),
    "SelfAdjustingDiceLoss": (
        dict(alpha=-0.1),
        dict(alpha=1.5),
        dict(smooth=0),
        dict(square_denominator=2),
    ),
    "SpatialClassBalancedLoss": (
        dict(grid=0),
        dict(grid=(7, 7, 7)),
        dict(beta=1),
        dict(blend=1.5),
        dict(min_count=0),
        dict(background_penalty=-1),
    ),
    "TverskyLoss": (
        dict(fn_weight=-1),
        dict(fn_weight=0, fp_weight=0),
        dict(gamma=0),
        dict(smooth=0),
    ),
}


def make_masks(labels=(0, 2, 1, 2), size=(2, 3), dtype=torch.float64, seed=0):
    """Logits (N, C, h, w) with a gradient, masks (N, h, w) and classes (N,)."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(labels), NUM_CLASSES, *size)
    logits = 2 * torch.randn(shape, generator=generator, dtype=torch.float64)
    masks = torch.rand(len(labels), *size, generator=generator) > 0.5
    labels = torch.tensor(labels, dtype=torch.long)
    return logits.to(dtype).requires_grad_(), masks.to(dtype), labels


def make_points(seed=0):
    """Logits (N, h, w) with a gradient, and masks: those of the own classes."""
    logits, masks, labels = make_masks(seed=seed)
    own = logits.detach()[torch.arange(len(labels)), labels]
    return own.requires_grad_(), masks
