"""Equalized focal loss: a focus for each class, by the gradients that it has had."""

from __future__ import annotations

from torch import Tensor

from imb_det.core import check_choice, check_number
from imb_det.registry import MODELS

from .base import ImbalanceLoss
from .elements import FocalElement
from .gradient_ratio import GradientRatio
from .links import RARE_BIAS, SigmoidLink
from .observed import Observed
from .terms import Call, Terms

__all__ = ["EqualizedFocalLoss"]


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
        alpha: Weight of positives, in [0, 1]; negatives have 1 - alpha. Default 0.25.
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
    mixed precision.
    """

    observes = True

    def __init__(
        self,
        gamma: float = 2.0,
        alpha: float = 0.25,
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
        check_number(name, "alpha", alpha, 0, 1)
        check_number(name, "scale", scale, 0, None)
        self.gamma, self.alpha, self.scale = float(gamma), float(alpha), float(scale)
        self.link = SigmoidLink(start_bias=RARE_BIAS)
        self.ratio = GradientRatio(start=1.0)

    def terms(self, call: Call) -> Terms:
        """Return the focal elements, and the weights of positives and negatives."""
        ratio = self.ratio(call.num_classes, call.cls_score)
        gamma = self.gamma + self.scale * (1 - ratio.clamp(0, 1))
        factor = gamma / self.gamma
        return Terms(
            element=FocalElement(gamma),
            positive=self.alpha * factor,
            negative=(1 - self.alpha) * factor,
        )

    def observe(self, call: Call, seen: Observed, factor: Tensor | float) -> None:
        """Add the gradients of the classes."""
        self.ratio.add(seen, call.num_classes, factor)
