"""Guided loss scaling in the kinds of heads that mmdet has."""

from __future__ import annotations

import logging
from typing import Any

import torch
from mmdet.models.dense_heads import AnchorFreeHead, AnchorHead, RPNHead
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmengine.logging import print_log
from torch import Tensor, nn

from .class_thresholds import ClassThresholds
from .guided_loss_scaling import GuidedLossScaling

__all__ = ["GuidedAnchorBasedHead", "GuidedBBoxHead", "GuidedDenseHead"]


class _GuidedHead(GuidedLossScaling):
    """What dense and RoI heads share: refusals, class-adaptive thresholds, warnings."""

    #: Classes of mmdet, one of which a guided head must be.
    _bases: tuple[type, ...] = ()

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

    def _warn(self, text: str) -> None:
        print_log(f"{type(self).__name__}: {text}", "current", logging.WARNING)


class GuidedDenseHead(_GuidedHead):
    """Mixin for dense heads that average their losses over all ranks by themselves.

    Args:
        *args: See :class:`GuidedLossScaling`, as for **kwargs.
        adaptive_thr: Whether to predict with class-adaptive score thresholds, see
            :class:`ClassThresholds`, in place of ``test_cfg.score_thr``. Default False.

    Raises:
        TypeError: Also for a head with neither anchors nor points, such as DETR's, or
            without a module ``loss_cls``, such as SSD's, and one with the losses of
            ``AnchorHead``, see :class:`GuidedAnchorBasedHead`.
        ValueError: Also for a classification loss without sigmoid, a sampler that drops
            candidates, or thresholds of classes in a region proposal head.
    """

    _bases = (AnchorHead, AnchorFreeHead)
    _plain_loss = "dict(type='CrossEntropyLoss', use_sigmoid=True)"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name, kind = type(self).__name__, type(self.loss_cls).__name__
        own_losses = getattr(type(self), "loss_by_feat_single", None)
        if own_losses is AnchorHead.loss_by_feat_single:
            raise TypeError(
                f"{name} has the losses of AnchorHead, which each rank averages for "
                "itself: derive it from GuidedAnchorBasedHead, not GuidedDenseHead"
            )
        if not self.use_sigmoid_cls:
            raise ValueError(
                f"{name} needs a sigmoid classification loss, such as "
                "`loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True)`; got "
                f"{kind} without `use_sigmoid=True`"
            )
        sampler = type(getattr(self, "sampler", None)).__name__
        if sampler not in ("PseudoSampler", "NoneType"):
            raise ValueError(
                f"{name} trains on every candidate, but `train_cfg.sampler` is "
                f"{sampler}; set it to `dict(type='PseudoSampler')`"
            )
        if self.class_thresholds is not None and isinstance(self, RPNHead):
            raise ValueError(
                f"{name}: `adaptive_thr=True` has thresholds of classes, and proposals "
                "have no classes; leave it out"
            )
        # Without its factor, quality focal loss is cross entropy with soft targets.
        is_plain = kind == "QualityFocalLoss" and self.loss_cls.beta == 0
        if not is_plain and kind != "CrossEntropyLoss":
            self._warn(
                f"the classification loss is {kind}; sampling-free training means "
                f"`loss_cls={self._plain_loss}`"
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
    """

    #: What the box loss is divided by for each positive.
    _box_divisor = 1.0

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


#: Box losses that leave ``avg_factor`` aside.
_SELF_AVERAGED = ("GHMR", "GHMRLoss")


class GuidedBBoxHead(_GuidedHead):
    r"""Mixin for the box heads of two-stage and cascade detectors.

    mmdet divides the box loss by the number of RoIs, so that without sampling, with
    some hundred negatives to each positive, it all but vanishes, and the classification
    loss with it. Here it is the mean over the coordinates of positives,

    .. math:: L_{reg} = \frac{1}{4 N_f} \sum_i \sum_{k=1}^4 |t_{ik} - \hat t_{ik}|

    for L1, or over positives for a loss of whole boxes such as GIoU. N_f and the number
    of RoIs are those of all ranks.

    Args:
        *args: See :class:`GuidedLossScaling`, as for **kwargs. ``cls_loss_scale`` is 2
            by default.
        adaptive_thr: Whether to predict with class-adaptive score thresholds, see
            :class:`ClassThresholds`, in place of ``test_cfg.score_thr``. Default False.

    Raises:
        TypeError: Also for a head that is no ``BBoxHead`` of mmdet.
        ValueError: A head without classification or box branch, or a box loss that
            divides by a number of its own; when training starts, a
            ``train_cfg.sampler`` that drops proposals.
    """

    _bases = (BBoxHead,)
    _default_scale = 2.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        with_cls, with_reg = (
            getattr(self, branch, False) for branch in ("with_cls", "with_reg")
        )
        if not (with_cls and with_reg):
            raise ValueError(
                f"{type(self).__name__} scales the classification loss to the box "
                f"loss, but with_cls={with_cls} and with_reg={with_reg}"
            )
        kind = type(self.loss_bbox).__name__
        if kind in _SELF_AVERAGED:
            raise ValueError(
                f"{type(self).__name__} averages the box loss over positives, but "
                f"`loss_bbox` is {kind}, which divides by a number of its own; use "
                "another, such as `dict(type='SmoothL1Loss')`"
            )
        self._box_divisor = float(_values_per_box(self.loss_bbox))

    def check_sampler(self, sampler: Any) -> None:
        """Refuse the config of a sampler that drops proposals.

        Args:
            sampler: ``train_cfg.rcnn.sampler``.

        Raises:
            ValueError: Names it, and what to write.
        """
        kind = str(sampler.get("type"))
        if kind.rpartition(".")[2] not in ("AllSampler", "PseudoSampler"):
            raise ValueError(
                f"{type(self).__name__} trains on every proposal, but "
                f"`train_cfg.rcnn.sampler` is {kind}; set it to "
                "`dict(_delete_=True, type='imb_det.AllSampler')`"
            )

    def loss_and_target(self, *args: Any, **kwargs: Any) -> dict:
        """Return losses and targets as mmdet does, once the sampler is checked."""
        cfg = kwargs.get("rcnn_train_cfg", args[4] if len(args) > 4 else {})
        if "sampler" in cfg:
            self.check_sampler(cfg["sampler"])
        return super().loss_and_target(*args, **kwargs)  # type: ignore[misc]

    def loss(
        self,
        cls_score: Tensor,
        bbox_pred: Tensor,
        rois: Tensor,
        labels: Tensor,
        label_weights: Tensor,
        bbox_targets: Tensor,
        bbox_weights: Tensor,
        reduction_override: str | None = None,
    ) -> dict:
        """Return the head's losses with the classification loss scaled.

        Args:
            cls_score: Scores, (n, C + 1), or as many columns as the loss wants.
            bbox_pred: Box deltas, (n, 4) or (n, 4 C).
            rois: (n, 5).
            labels: Int (n,), background C.
            label_weights: (n,).
            bbox_targets: (n, 4).
            bbox_weights: (n, 4).
            reduction_override: Other than None, losses are mmdet's, unscaled: whoever
                compares boxes by their loss asks so.

        Returns:
            The head's losses, and ``guided_ratio`` and ``num_unscaled`` for the log.
        """
        losses = super().loss(  # type: ignore[misc]
            cls_score,
            bbox_pred,
            rois,
            labels,
            label_weights,
            bbox_targets,
            bbox_weights,
            reduction_override,
        )
        if reduction_override is not None:
            return losses
        if not len(labels):  # mmdet leaves the loss out then, and a rank would hang
            losses["loss_cls"] = cls_score.sum()
        num_used = (label_weights > 0).sum()
        num_positive = ((labels >= 0) & (labels < self.num_classes)).sum()
        divided = torch.stack([num_used.clamp(min=1), num_used.new_tensor(len(labels))])
        wanted = torch.stack([num_used, self._box_divisor * num_positive])
        return self.guide(losses, divided, wanted)

    def _after_join(self, counts: Tensor) -> None:
        if self.class_thresholds is not None:
            num_used, num_values = counts
            self.class_thresholds.add_candidates(
                num_values / self._box_divisor, num_used
            )

    def _predict_by_feat_single(
        self, *args: Any, rcnn_test_cfg: Any = None, **kwargs: Any
    ) -> Any:
        """Predict for an image as mmdet does, with the thresholds of the classes."""
        if self.class_thresholds is not None and rcnn_test_cfg is not None:
            rois = kwargs["roi"] if "roi" in kwargs else args[0]
            rcnn_test_cfg = self.class_thresholds.in_place_of_number(
                rcnn_test_cfg, repeats=len(rois)
            )
        return super()._predict_by_feat_single(  # type: ignore[misc]
            *args, rcnn_test_cfg=rcnn_test_cfg, **kwargs
        )


def _values_per_box(loss_bbox: nn.Module) -> int:
    """Return how many values of a box loss there are for a box: 4, or 1 for IoU."""
    box = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    return loss_bbox(box, box, reduction_override="none").numel()
