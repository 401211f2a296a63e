"""Box heads of two-stage detectors without sampling heuristics."""

from __future__ import annotations

from mmdet.models.roi_heads.bbox_heads import (
    ConvFCBBoxHead,
    Shared2FCBBoxHead,
    Shared4Conv1FCBBoxHead,
)

from imb_det.registry import MODELS

from .guided_bbox_head import GuidedBBoxHead

__all__ = [
    "SamplingFreeConvFCBBoxHead",
    "SamplingFreeShared2FCBBoxHead",
    "SamplingFreeShared4Conv1FCBBoxHead",
]


@MODELS.register_module()
class SamplingFreeConvFCBBoxHead(GuidedBBoxHead, ConvFCBBoxHead):
    r"""``ConvFCBBoxHead`` trained on all proposals, in place of 512 drawn ones.

    .. math:: L = L_{reg} + w_{cls} \, \mathrm{stopgrad}(L_{reg} / L_{cls}) \, L_{cls}

    with the mean cross entropy of all proposals, and the box loss as the mean over
    the coordinates of positives. It serves Faster and Mask R-CNN, and each stage of
    Cascade R-CNN.

    Args:
        *args: As mmdet's class; ``train_cfg.rcnn.sampler`` must be
            ``dict(_delete_=True, type='imb_det.AllSampler')``.
        cls_loss_scale: Weight w_cls, > 0, default 2.
        momentum: Share of the past in the losses of the ratio, in [0, 1), default 0:
            each iteration for itself.
        freeze_after: Iterations after which the ratio stays, default None: never.
        uncertainty: Whether to learn weights of the losses, default False.
        adaptive_thr: Whether to predict with thresholds of classes, default False.
        **kwargs: As mmdet's class.

    Raises:
        ValueError: See :class:`GuidedLossScaling` and :class:`GuidedBBoxHead`.

    Source: Chen et al., IEEE TIP 2021, and the authors' code, with Smooth L1 of beta 1
    there. Deviation: positives and proposals are counted over all ranks.
    """


@MODELS.register_module()
class SamplingFreeShared2FCBBoxHead(GuidedBBoxHead, Shared2FCBBoxHead):
    """``Shared2FCBBoxHead`` trained on all proposals.

    Args:
        *args: As mmdet's class.
        **kwargs: As mmdet's class, and as :class:`SamplingFreeConvFCBBoxHead`.
    """


@MODELS.register_module()
class SamplingFreeShared4Conv1FCBBoxHead(GuidedBBoxHead, Shared4Conv1FCBBoxHead):
    """``Shared4Conv1FCBBoxHead`` trained on all proposals.

    Args:
        *args: As mmdet's class.
        **kwargs: As mmdet's class, and as :class:`SamplingFreeConvFCBBoxHead`.
    """
