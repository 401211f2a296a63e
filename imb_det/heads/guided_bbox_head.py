"""Guided loss scaling in the box heads of two stages and cascades."""

from __future__ import annotations

from typing import Any

import torch
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.models.task_modules.samplers import PseudoSampler
from torch import Tensor

from imb_det.registry import TASK_UTILS
from imb_det.task_modules import HOW_TO_SAMPLE_ALL, AllSampler

from .guided_heads import GuidedHead, values_per_box
from .loss_averaging import OWN_RANK

__all__ = ["GuidedBBoxHead"]


class GuidedBBoxHead(GuidedHead):
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
        TypeError: Also for a head that is no ``BBoxHead`` of mmdet, or has losses of
            its own; one that only adds to those of ``BBoxHead`` states
            ``losses_averaged_over = 'own_rank'`` in its class.
        ValueError: A head without classification or box branch, a loss with sigmoid
            that a head of mmdet would predict with softmax, or a box loss that divides
            by a number of its own; when training starts, a ``train_cfg.sampler`` that
            drops proposals.
    """

    _bases = (BBoxHead,)
    _loss_methods = ("loss_and_target", "loss")
    _averaged_over = OWN_RANK
    _like_known = "as BBoxHead's, which it may add to"
    _otherwise = "this mixin takes those that each rank averages for itself"
    _default_scale = 2.0
    _plain_loss = "dict(type='CrossEntropyLoss')"

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
        self._check_averaging()
        kind = type(self.loss_cls).__name__
        with_sigmoid = getattr(self.loss_cls, "use_sigmoid", False)
        if with_sigmoid and not getattr(self.loss_cls, "custom_cls_channels", False):
            raise ValueError(
                f"{type(self).__name__} predicts with a softmax, but `loss_cls` is "
                f"{kind} with `use_sigmoid=True`; use `{self._plain_loss}`, or "
                "`dict(type='imb_det.CrossEntropyLoss', use_sigmoid=True)`, with which "
                "it predicts with a sigmoid"
            )
        self._check_box_loss()
        self._box_divisor = float(values_per_box(self.loss_bbox))

    def forget_training(self) -> None:
        """Clear what another training left in the checkpoint that starts this one."""
        super().forget_training()
        if self.class_thresholds is not None:  # which are counted anew
            self.class_thresholds.num_candidates.zero_()

    def check_sampler(self, sampler: Any) -> None:
        """Refuse the config of a sampler that drops proposals.

        Args:
            sampler: ``train_cfg.rcnn.sampler``.

        Raises:
            ValueError: Names it, and what to write.
        """
        kind = sampler.get("type")
        found = TASK_UTILS.get(kind) if isinstance(kind, str) else kind
        if not (
            isinstance(found, type) and issubclass(found, (AllSampler, PseudoSampler))
        ):
            name = kind if isinstance(kind, str) else getattr(kind, "__name__", kind)
            raise ValueError(
                f"{type(self).__name__} trains on every proposal, but "
                f"`train_cfg.rcnn.sampler` is {name}; set it to {HOW_TO_SAMPLE_ALL}"
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
