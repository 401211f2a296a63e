"""Rare classes that are spared as negatives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from imb_det.core import check_choice, check_number, refuse_idle
from imb_det.statistics.class_stats import ClassStats
from imb_det.statistics.class_vector import ClassVector
from imb_det.statistics.running_stats import RunningStats

from .step_draws import StepDraws, drawn_or_mean
from .terms import Call, Values, is_background

__all__ = ["Tail", "TailNegatives"]

#: What tells the rare classes: ``'frequency'``, or a 1 for each of them.
Tail = str | Sequence[float] | Mapping[str, float]

_MOMENTUM = 0.9


class TailNegatives(nn.Module):
    r"""Factor of negatives, 0 or less than 1 where a rare class would be pushed down.

    In foreground rows, rare classes are no negatives. In background rows they are, or,
    with ``drop``, each with the share :math:`\mu` of foreground rows whose class is
    rare.

    Args:
        owner: Name of the loss, for messages.
        threshold: Share of images below which a class is rare, >= 0; None for the
            usual one.
        usual: Threshold of the method.
        num_images: Images that it is a share of; None for those of the training set.
        tail: ``'frequency'`` for that rule, or 1 for each rare class and 0 for the
            others, as a list or by class name.
        drop: Whether background rows drop rare classes too. Default False.
        sampled: Whether each is dropped or kept as drawn; else all have the factor
            that this is on average. Default True.
    """

    def __init__(
        self,
        owner: str,
        threshold: float | None,
        usual: float,
        num_images: int | None,
        tail: Tail,
        drop: bool = False,
        sampled: bool = True,
    ) -> None:
        super().__init__()
        threshold = usual if threshold is None else threshold
        check_number(owner, "threshold", threshold, 0, None)
        if num_images is not None:
            check_number(owner, "num_images", num_images, 1, None)
        check_choice(owner, "sampled", sampled, (True, False))
        rule = partial(_rare, float(threshold), num_images)
        self.is_rare = ClassVector(
            owner, "tail", tail, rules={"frequency": rule}, default=0, high=1
        )
        if not self.is_rare.has_rule:
            refuse_idle(
                owner,
                "where `tail` tells the rare classes",
                threshold=(threshold, usual),
                num_images=(num_images, None),
            )
        self.draws = StepDraws(owner, seed=0) if drop and sampled else None
        #: Foreground rows, and those of them whose class is rare, of a step on average.
        self.foreground = RunningStats(2, _MOMENTUM) if drop else None

    def forward(self, call: Call) -> Values:
        """Return the factors of negatives of a call."""
        classes = call.num_classes
        rare = self.is_rare(classes, call.cls_score)
        keep = self._share(call, rare)
        kept = rare.new_ones(()) if keep is None else keep
        # Of rows of an object, and of background.
        factors = 1 - rare.expand(2, classes) * (1 - F.pad(kept[None], (1, 0)))[:, None]
        taken = drawn_or_mean(self.draws, factors, call)

        def negative(z: Tensor, label: Tensor) -> Tensor:
            return taken(is_background(label, classes).long())

        return negative

    def _share(self, call: Call, rare: Tensor) -> Tensor | None:
        """Return the share of rare foreground rows in the steps before; learn it."""
        if self.foreground is None:
            return None
        rows, rare_rows = self.foreground.value
        share = torch.where(rows > 0, rare_rows / rows.clamp(min=1e-9), 1.0)
        if call.learn:
            if call.label.dim() == 1:
                is_object = call.is_object
                label = torch.where(is_object, call.label, 0).long()
                of_tail = is_object * rare.expand(call.num_classes)[label]
            else:  # of a row of several classes: whether one of them is rare
                is_object = call.is_counted & ~call.is_background
                of_tail = is_object * ((call.label > 0) * rare).amax(1)
            self.foreground.add(torch.stack([is_object.sum(), of_tail.sum()]))
        return share


def _rare(threshold: float, num_images: int | None, stats: ClassStats) -> np.ndarray:
    """Return 1 for classes that are in less than a share of images, else 0."""
    return (stats.image_count < threshold * (num_images or stats.num_images)) * 1.0
