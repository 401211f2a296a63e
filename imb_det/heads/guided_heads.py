"""Guided loss scaling in dense heads, and what it shares with box heads."""

from __future__ import annotations

import logging
from typing import Any

import torch
from mmdet.models.dense_heads import AnchorFreeHead, AnchorHead, RPNHead
from mmdet.models.task_modules.samplers import PseudoSampler
from mmengine.logging import print_log
from torch import nn

from .class_thresholds import ClassThresholds
from .guided_loss_scaling import GuidedLossScaling
from .loss_averaging import ALL_RANKS, OWN_RANK, losses_averaged_over

__all__ = [
    "GuidedAnchorBasedHead",
    "GuidedDenseHead",
    "GuidedHead",
    "values_per_box",
]

#: Box losses that leave ``avg_factor`` aside.
_SELF_AVERAGED = ("GHMR", "GHMRLoss")


class GuidedHead(GuidedLossScaling):
    """What dense and RoI heads share: refusals, class-adaptive thresholds, warnings."""

    #: Classes of mmdet, one of which a guided head must be.
    _bases: tuple[type, ...] = ()
    #: Their methods that compute losses, and what these must be averaged over.
    _loss_methods: tuple[str, ...] = ("loss_by_feat", "loss_by_feat_single")
    _averaged_over = ""
    #: Which other losses may say so, and what to do with those of another kind.
    _like_known = ""
    _otherwise = ""
    #: What sampling-free training classifies with, as a config has it.
    _plain_loss = ""

    num_classes: int
    loss_cls: Any
    loss_bbox: Any

    def __init__(self, *args: Any, adaptive_thr: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name = type(self).__name__
        if not isinstance(self, self._bases):
            bases = " or ".join(base.__name__ for base in self._bases)
            raise TypeError(
                f"{name} cannot be guided: it is no {bases} of mmdet, whose losses are "
                "known to be joined over levels and ranks"
            )
        if not hasattr(self, "loss_cls"):
            raise TypeError(
                f"{name} cannot be guided: it classifies without a module `loss_cls`"
            )
        self.class_thresholds = (
            ClassThresholds(self.num_classes) if adaptive_thr else None
        )
        if getattr(self.loss_cls, "loss_weight", 1.0) != 1.0:
            self._warn(
                "`loss_cls.loss_weight` has no effect, the loss is scaled to the box "
                "loss; use `cls_loss_scale`"
            )
        kind = type(self.loss_cls).__name__
        # Without its factor, quality focal loss is cross entropy with soft targets.
        is_plain = kind == "QualityFocalLoss" and self.loss_cls.beta == 0
        if not is_plain and kind != "CrossEntropyLoss":
            self._warn(
                f"the classification loss is {kind}; sampling-free training means "
                f"`loss_cls={self._plain_loss}`"
            )

    def _check_averaging(self) -> None:
        """Refuse losses that are averaged over something else, or over who knows."""
        name = type(self).__name__
        found, where = losses_averaged_over(
            type(self), self._loss_methods, GuidedLossScaling
        )
        if found is None:
            raise TypeError(
                f"{name} cannot be guided: it has losses of its own, `{where}`, and "
                f"nothing says what they are divided by. If {self._like_known}, say so "
                f"in the class: `losses_averaged_over = {self._averaged_over!r}`"
            )
        if found != self._averaged_over:
            raise TypeError(
                f"{name} has the losses of {where}, where `losses_averaged_over` is "
                f"{found!r}: {self._otherwise}"
            )

    def _check_box_loss(self) -> None:
        """Refuse box losses that do not divide by the number that they are given."""
        kind = type(self.loss_bbox).__name__
        if kind in _SELF_AVERAGED:
            raise ValueError(
                f"{type(self).__name__} averages the box loss over positives, but "
                f"`loss_bbox` is {kind}, which divides by a number of its own; use "
                "another, such as `dict(type='SmoothL1Loss')`"
            )

    def _warn(self, text: str) -> None:
        print_log(f"{type(self).__name__}: {text}", "current", logging.WARNING)


class GuidedDenseHead(GuidedHead):
    """Mixin for dense heads that average their losses over all ranks by themselves.

    Args:
        *args: See :class:`GuidedLossScaling`, as for **kwargs.
        adaptive_thr: Whether to predict with class-adaptive score thresholds, see
            :class:`ClassThresholds`, in place of ``test_cfg.score_thr``. Default False.

    Raises:
        TypeError: Also for a head with neither anchors nor points, such as DETR's, or
            without a module ``loss_cls``, such as SSD's, and one with the losses of
            ``AnchorHead``, see :class:`GuidedAnchorBasedHead`, or others that neither
            are those of :data:`AVERAGED_OVER` nor state ``losses_averaged_over =
            'all_ranks'`` in their class.
        ValueError: Also for a classification loss without sigmoid, a sampler that drops
            candidates, or thresholds of classes in a region proposal head.
    """

    _bases = (AnchorHead, AnchorFreeHead)
    _averaged_over = ALL_RANKS
    _like_known = "by numbers that all ranks share, as mmdet's `reduce_mean` gives them"
    _otherwise = "derive it from GuidedAnchorBasedHead, not GuidedDenseHead"
    _plain_loss = "dict(type='CrossEntropyLoss', use_sigmoid=True)"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name, kind = type(self).__name__, type(self.loss_cls).__name__
        self._check_averaging()
        if not self.use_sigmoid_cls:
            raise ValueError(
                f"{name} needs a sigmoid classification loss, such as "
                "`loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True)`; got "
                f"{kind} without `use_sigmoid=True`"
            )
        sampler = getattr(self, "sampler", None)
        if not isinstance(sampler, (PseudoSampler, type(None))):
            raise ValueError(
                f"{name} trains on every candidate, but `train_cfg.sampler` is "
                f"{type(sampler).__name__}; set it to `dict(type='PseudoSampler')`"
            )
        if self.class_thresholds is not None and isinstance(self, RPNHead):
            raise ValueError(
                f"{name}: `adaptive_thr=True` has thresholds of classes, and proposals "
                "have no classes; leave it out"
            )

    def loss_by_feat(self, *args: Any, **kwargs: Any) -> dict:
        """Return the head's losses with the classification loss scaled.

        Args:
            *args: As the head's own ``loss_by_feat``.
            **kwargs: As the head's own ``loss_by_feat``.

        Returns:
            The head's losses, and ``guided_ratio`` and ``num_unscaled`` for the log.
        """
        losses = super().loss_by_feat(*args, **kwargs)  # type: ignore[misc]
        return self.guide(losses, *self._divisors())

    def _divisors(self) -> tuple:
        """Return what this rank has divided losses by, and what is wanted."""
        return ()

    def _predict_by_feat_single(
        self, *args: Any, cfg: Any = None, **kwargs: Any
    ) -> Any:
        """Predict for an image as mmdet does, with the thresholds of the classes."""
        cfg = self.test_cfg if cfg is None else cfg
        if self.class_thresholds is not None:
            cfg = self.class_thresholds.in_place_of_number(cfg)
        return super()._predict_by_feat_single(  # type: ignore[misc]
            *args, cfg=cfg, **kwargs
        )


class GuidedAnchorBasedHead(GuidedDenseHead):
    """Mixin for dense heads with the losses of mmdet's ``AnchorHead``.

    It averages them over the positives of each rank, where an image without any counts
    as one. Here the box and classification losses are averaged over the positives of
    all ranks, so that ranks hold the losses of one process with all images, and a rank
    whose images are empty weighs as little as its images do.

    Raises:
        TypeError: Also for a head with other losses, such as FreeAnchor's or PISA's;
            one that only adds to those of ``AnchorHead`` states
            ``losses_averaged_over = 'own_rank'`` in its class.
        ValueError: Also for a box loss that divides by a number of its own.
    """

    _averaged_over = OWN_RANK
    _like_known = "by the `avg_factor` of each rank, as AnchorHead's"
    _otherwise = "derive it from GuidedDenseHead, not GuidedAnchorBasedHead"
    #: What the box loss is divided by for each positive.
    _box_divisor = 1.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._check_box_loss()

    def loss_by_feat_single(
        self, *args: Any, avg_factor: float, **kwargs: Any
    ) -> tuple:
        """Return the head's losses of a level; remember what they are divided by."""
        self._avg_factor = float(avg_factor)
        return super().loss_by_feat_single(  # type: ignore[misc]
            *args, avg_factor=avg_factor, **kwargs
        )

    def _divisors(self) -> tuple:
        own = self._avg_factor
        return [own, own], [own, own * self._box_divisor]


def values_per_box(loss_bbox: nn.Module) -> int:
    """Return how many values of a box loss there are for a box: 4, or 1 for IoU."""
    box = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    return loss_bbox(box, box, reduction_override="none").numel()
