"""Dense heads of mmdet without sampling heuristics."""

from __future__ import annotations

from typing import Any

from mmdet.models.dense_heads import ATSSHead, FCOSHead, GFLHead, RetinaHead, RPNHead

from imb_det.registry import MODELS

from .guided_heads import GuidedAnchorBasedHead, GuidedDenseHead, values_per_box

__all__ = [
    "SamplingFreeATSSHead",
    "SamplingFreeFCOSHead",
    "SamplingFreeGFLHead",
    "SamplingFreeRPNHead",
    "SamplingFreeRetinaHead",
]


@MODELS.register_module()
class SamplingFreeRetinaHead(GuidedAnchorBasedHead, RetinaHead):
    r"""``RetinaHead`` trained on all anchors with plain binary cross entropy.

    Neither focal loss nor sampling: :class:`PriorInitHook` starts the classifier at
    its optimal bias, and the classification loss is scaled to the box loss,

    .. math:: L = L_{reg} + w_{cls} \, \mathrm{stopgrad}(L_{reg} / L_{cls}) \, L_{cls}

    Args:
        *args: As mmdet's ``RetinaHead``; ``loss_cls`` must use sigmoid.
        cls_loss_scale: Weight w_cls, > 0, default 1.
        momentum: Share of the past in the losses of the ratio, in [0, 1), default 0:
            each iteration for itself.
        freeze_after: Iterations after which the ratio stays, default None: never.
        uncertainty: Whether to learn weights of the losses, default False.
        regression_losses: Names of the losses of the ratio, default those of the class.
        adaptive_thr: Whether to predict with thresholds of classes, default False.
        **kwargs: As mmdet's ``RetinaHead``.

    Raises:
        ValueError: See :class:`GuidedLossScaling` and :class:`GuidedDenseHead`.

    Source: Chen et al., IEEE TIP 2021. The box loss is the config's own, L1 by
    mmdet's default. The authors' code has the mean over positives and coordinates of
    Smooth L1 with beta 0.11, of deltas in units of 0.1 (centre) and 0.2 (size):
    ``bbox_coder=dict(target_stds=[0.1, 0.1, 0.2, 0.2])``, ``loss_weight=0.25``.
    """


@MODELS.register_module()
class SamplingFreeRPNHead(GuidedAnchorBasedHead, RPNHead):
    r"""``RPNHead`` trained on all anchors, in place of 256 drawn ones.

    The box loss is half the mean over the coordinates of positives, or over positives
    for a loss of whole boxes such as GIoU,

    .. math:: L_{reg} = \frac{1}{8 N_f} \sum_i \sum_{k=1}^4 |t_{ik} - \hat t_{ik}|

    as in the authors' code, times the ``loss_weight`` of the config. It is logged as
    ``loss_rpn_bbox``, the ratio as ``rpn_guided_ratio``.

    Args:
        *args: As mmdet's ``RPNHead``; ``train_cfg.rpn.sampler`` must be
            ``dict(_delete_=True, type='PseudoSampler')``.
        **kwargs: As mmdet's ``RPNHead``, and those of :class:`SamplingFreeRetinaHead`
            without ``adaptive_thr``: proposals have no classes.

    Raises:
        ValueError: See :class:`GuidedLossScaling` and :class:`GuidedDenseHead`.

    Source: Chen et al., IEEE TIP 2021, and the authors' code, with Smooth L1 of beta
    1/9 there.
    """

    classification_loss = "loss_rpn_cls"
    regression_losses = ("loss_rpn_bbox",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._box_divisor = 2.0 * values_per_box(self.loss_bbox)


@MODELS.register_module()
class SamplingFreeFCOSHead(GuidedDenseHead, FCOSHead):
    """``FCOSHead`` trained on all points with plain binary cross entropy.

    The centerness loss is on the regression side: the classification loss is scaled to
    the mean of box and centerness loss.

    Args:
        *args: As mmdet's ``FCOSHead``; ``loss_cls`` must use sigmoid.
        **kwargs: As mmdet's ``FCOSHead``, and those of
            :class:`SamplingFreeRetinaHead`.

    Raises:
        ValueError: See :class:`GuidedLossScaling` and :class:`GuidedDenseHead`.

    Source: Chen et al., IEEE TIP 2021; the losses of the ratio as in the authors' last
    public code, which also keeps the ratio after 100 iterations and learns weights:
    ``freeze_after=100``, ``uncertainty=True``.
    """

    regression_losses = ("loss_bbox", "loss_centerness")


@MODELS.register_module()
class SamplingFreeATSSHead(GuidedDenseHead, ATSSHead):
    """``ATSSHead`` trained on all anchors with plain binary cross entropy.

    Losses of the ratio, arguments, refusals and source as in
    :class:`SamplingFreeFCOSHead`; all other arguments as mmdet's ``ATSSHead``.
    """

    regression_losses = ("loss_bbox", "loss_centerness")


@MODELS.register_module()
class SamplingFreeGFLHead(GuidedDenseHead, GFLHead):
    """``GFLHead`` without the focal factor of its quality focal loss.

    Its targets are IoUs, so plain cross entropy is quality focal loss with ``beta=0``.
    The distribution focal loss is on the regression side: the classification loss is
    scaled to the mean of both box losses.

    Args:
        *args: As mmdet's ``GFLHead``.
        **kwargs: As mmdet's ``GFLHead``, and those of
            :class:`SamplingFreeRetinaHead`.

    Raises:
        ValueError: See :class:`GuidedLossScaling` and :class:`GuidedDenseHead`; also
            for a loss that is no quality focal loss, as this head has no labels for it.

    Source: Chen et al., IEEE TIP 2021, on the head of Li et al., "Generalized Focal
    Loss", NeurIPS 2020. Not among the authors' heads.
    """

    regression_losses = ("loss_bbox", "loss_dfl")
    _plain_loss = "dict(type='QualityFocalLoss', use_sigmoid=True, beta=0.0)"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kind = type(self.loss_cls).__name__
        if "QualityFocalLoss" not in kind:
            raise ValueError(
                f"{type(self).__name__} has labels with qualities, for which "
                f"`loss_cls` must be `{self._plain_loss}`, got {kind}"
            )
