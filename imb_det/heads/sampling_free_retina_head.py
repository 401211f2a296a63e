"""RetinaNet's head without sampling heuristics."""

from __future__ import annotations

from mmdet.models.dense_heads import RetinaHead

from imb_det.registry import MODELS

from .guided_loss_scaling import GuidedLossScaling

__all__ = ["SamplingFreeRetinaHead"]


@MODELS.register_module()
class SamplingFreeRetinaHead(GuidedLossScaling, RetinaHead):
    r"""``RetinaHead`` trained on all anchors with plain binary cross entropy.

    Neither focal loss nor sampling: :class:`PriorInitHook` starts the classifier at
    its optimal bias, and the classification loss is scaled to the box loss,

    .. math:: L = L_{reg} + w_{cls} \, \mathrm{stopgrad}(L_{reg} / L_{cls}) \, L_{cls}

    Args:
        *args: As mmdet's ``RetinaHead``; ``loss_cls`` must use sigmoid.
        cls_loss_scale: Weight w_cls, > 0, default 1.
        momentum: Share of the past in the losses of the ratio, in [0, 1), default 0:
            each iteration for itself.
        **kwargs: As mmdet's ``RetinaHead``.

    Raises:
        ValueError: See :class:`GuidedLossScaling`.

    Source: Chen et al., IEEE TIP 2021. The box loss is the config's own (L1 by
    mmdet's default, Smooth L1 with beta 0.11 in the authors' code); the ratio adapts
    the classification loss to either.
    """
