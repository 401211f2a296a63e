"""Equalized focal loss: a focus for each class, by the gradients that it has had."""

from __future__ import annotations

from mmdet.models.losses import QualityFocalLoss as MmdetQualityFocalLoss
from torch import Tensor

from imb_det.core import check_choice, check_number
from imb_det.registry import MODELS

from .base import ImbalanceLoss
from .elements import FocalElement
from .gradient_ratio import GradientRatio
from .links import RARE_BIAS, SigmoidLink
from .observed import Observed
from .terms import Call, Terms

__all__ = ["EqualizedFocalLoss", "EqualizedQualityFocalLoss"]


@MODELS.register_module()
class EqualizedFocalLoss(ImbalanceLoss):
    r"""Focal loss whose exponent and weight grow for classes that are pushed down.

    .. math:: L = -\sum_c \alpha_t\, \frac{\gamma_c}{\gamma}\,
                  (1 - p_t)^{\gamma_c} \log p_t, \qquad
              \gamma_c = \gamma + s (1 - \min(g_c, 1))

    with the ratio :math:`g_c` of the gradients of positives to those of negatives,
    summed over all steps, levels and ranks before this one, and 1 at first. Outputs
    start with a bias of logit(0.001).

    Args:
        gamma: Exponent of classes in balance, > 0. Default 2.
        alpha: Weight of positives, in [0, 1]; negatives have 1 - alpha. None for 1 and
            1. Default 0.25.
        scale: Largest increase s of the exponent, >= 0; 0 is focal loss. Default 8, the
            authors' for RetinaNet, with five levels; for YOLOX, with three, they have
            4.
        use_sigmoid: Must be True, and stand in the config of dense heads. Default True.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        compiled: Whether to compile the loss; ``'auto'`` does on a GPU. Default
            ``'auto'``.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range.
        RuntimeError: In the first training step, without ``imb_det.ImbalanceHook``.

    Source: Li et al., "Equalized Focal Loss for Dense Long-Tailed Object Detection",
    CVPR 2022, equations 5 to 8. The gradients are those of the loss as it is trained,
    with its normaliser and weight, as in the authors' code, but without the scale of
    mixed precision, and without what a head divides by afterwards, as RTMDet does.
    """

    observes = True

    def __init__(
        self,
        gamma: float = 2.0,
        alpha: float | None = 0.25,
        scale: float = 8.0,
        use_sigmoid: bool = True,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        compiled: bool | str = "auto",
    ) -> None:
        name = type(self).__name__
        check_choice(name, "use_sigmoid", use_sigmoid, (True,))
        super().__init__(True, reduction, loss_weight, compiled)
        check_number(name, "gamma", gamma, 0, None, open_ends=True)
        if alpha is not None:
            check_number(name, "alpha", alpha, 0, 1)
        check_number(name, "scale", scale, 0, None)
        self.gamma, self.alpha, self.scale = float(gamma), alpha, float(scale)
        self.link = SigmoidLink(start_bias=RARE_BIAS)
        self.ratio = GradientRatio(start=1.0)

    def terms(self, call: Call) -> Terms:
        """Return the focal elements, and the weights of positives and negatives."""
        ratio = self.ratio(call.num_classes, call.cls_score)
        gamma = self.gamma + self.scale * (1 - ratio.clamp(0, 1))
        factor = gamma / self.gamma
        positive, negative = (
            (1.0, 1.0) if self.alpha is None else (self.alpha, 1 - self.alpha)
        )
        return Terms(
            element=FocalElement(gamma),
            positive=positive * factor,
            negative=negative * factor,
        )

    def observe(self, call: Call, seen: Observed, factor: Tensor | float) -> None:
        """Add the gradients of the classes."""
        self.ratio.add(seen, call.num_classes, factor)


@MODELS.register_module()
class EqualizedQualityFocalLoss(EqualizedFocalLoss, MmdetQualityFocalLoss):
    r"""Quality focal loss with a focus for each class.

    .. math:: L = \sum_c \frac{\gamma_c}{\gamma}\, |q_c - p_c|^{\gamma_c}
              \left(-q_c \log p_c - (1 - q_c) \log(1 - p_c)\right)

    with qualities q as in :class:`imb_det.QualityFocalLoss`, for heads that pass them,
    and exponents as in :class:`imb_det.EqualizedFocalLoss`.

    Args:
        gamma: Exponent of classes in balance, > 0. Default 2.
        alpha: Weight of positives, in [0, 1]; negatives have 1 - alpha. Default None, 1
            and 1.
        scale: Largest increase s of the exponent, >= 0; 0 is quality focal loss.
            Default 4, the authors' for YOLOX, with three levels.
        use_sigmoid: Must be True, and stand in the config of dense heads. Default True.
        activated: Whether the head passes probabilities in place of logits, as TOOD
            does. Default False.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``, of rows. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        compiled: Whether to compile the loss; ``'auto'`` does on a GPU. Default
            ``'auto'``.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range.
        RuntimeError: In the first training step, without ``imb_det.ImbalanceHook``.

    Source: Li et al., "Equalized Focal Loss for Dense Long-Tailed Object Detection",
    CVPR 2022, appendix.
    """

    of_rows = True

    def __init__(
        self,
        gamma: float = 2.0,
        alpha: float | None = None,
        scale: float = 4.0,
        use_sigmoid: bool = True,
        activated: bool = False,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        compiled: bool | str = "auto",
    ) -> None:
        super().__init__(
            gamma, alpha, scale, use_sigmoid, reduction, loss_weight, compiled
        )
        check_choice(type(self).__name__, "activated", activated, (True, False))
        self.activated = activated
