"""Asymmetric loss: easy negatives count less than easy positives."""

from __future__ import annotations

import torch
from torch import Tensor

from imb_det.core import check_choice, check_number
from imb_det.registry import MODELS

from .base import ImbalanceLoss
from .elements import FocalElement
from .links import SigmoidLink, logit
from .soft_targets import focal_to
from .terms import Call, Terms

__all__ = ["AsymmetricElement", "AsymmetricLoss"]


class AsymmetricElement:
    r"""Focal loss with an exponent for each sign and a margin of negatives.

    Args:
        gamma_neg: Exponent of negatives, >= 0.
        gamma_pos: Exponent of positives, >= 0.
        margin: Taken off the probability of negatives, in [0, 1).
    """

    def __init__(self, gamma_neg: float, gamma_pos: float, margin: float) -> None:
        self.gamma_neg, self.gamma_pos, self.margin = gamma_neg, gamma_pos, margin
        # Of gamma_neg - 1, from the left; None where multiplying would not pay.
        self._digits: str | None = None
        if gamma_neg == int(gamma_neg) and 1 < gamma_neg <= 8:
            self._digits = f"{int(gamma_neg) - 1:b}"

    def __call__(self, z: Tensor, positive: bool) -> tuple[Tensor, Tensor]:
        r"""Return loss and derivative by z, which is negated for positives.

        Of a positive, p is the probability of its absence, so that its loss is
        :math:`p^{\gamma} (-\log(1 - p))`, as that of a negative without margin.
        """
        if positive or not self.margin:
            gamma = self.gamma_pos if positive else self.gamma_neg
            return FocalElement(gamma)(z, positive)
        p = torch.sigmoid(z)
        lowered = (p - self.margin).clamp_(min=0)
        # 1 - (p - m) >= m, so nothing here is rounded to 0.
        if not self.gamma_neg:
            rate = p * (1 - p) / (1 - lowered)
            return torch.log1p(-lowered).neg_(), lowered.sign().mul_(rate)
        inverse = (1 - lowered).reciprocal_()
        nll = inverse.log()  # to the precision of p, as it is multiplied by l^gamma
        less = _power(lowered, self.gamma_neg - 1, self._digits)
        power = less * lowered
        # The derivative of l^gamma nll by p: l^(gamma - 1) (gamma nll + l / (1 - l)).
        slope = inverse.mul_(lowered).add_(nll, alpha=self.gamma_neg).mul_(less)
        slope = torch.ops.aten.sigmoid_backward(slope, p)  # times p (1 - p)
        return nll.mul_(power), slope

    def soft(self, z: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return loss and derivative for targets; 0 is a negative."""
        loss, slope = focal_to(z, target, self.gamma_pos)
        of_zero, slope_of_zero = self(z, False)
        none = target == 0  # NaN is not
        return torch.where(none, of_zero, loss), torch.where(none, slope_of_zero, slope)


def _power(x: Tensor, exponent: float, digits: str | None) -> Tensor:
    """Return x^exponent; by squares where the binary digits of it are given."""
    if digits is None:
        return x.clamp(min=torch.finfo(x.dtype).tiny) ** exponent
    power = x
    for digit in digits[1:]:
        power = power * power
        power = power * x if digit == "1" else power
    return power


@MODELS.register_module()
class AsymmetricLoss(ImbalanceLoss):
    r"""Asymmetric loss: negatives lose weight faster than positives, and have a margin.

    .. math:: L = -\sum_c \left(\alpha\, y_c (1 - p_c)^{\gamma_+} \log p_c
                  + (1 - \alpha)(1 - y_c)\, p_{m}^{\gamma_-} \log (1 - p_{m})\right),
              \quad p_m = \max(p_c - m, 0)

    without :math:`\alpha` by default. With a margin, negatives with p < m have no
    gradient. A detector that starts with less than that for all classes would learn no
    negative at all, so the outputs then start with a bias of logit(2 m).

    Args:
        gamma_neg: Exponent of negatives, >= 0. Default 4.
        gamma_pos: Exponent of positives, >= 0. Default 1.
        margin: Margin m of negatives, in [0, 0.25]. Default 0.05.
        alpha: Weight of positives, in [0, 1]; negatives have 1 - alpha. None for 1 and
            1. Default None.
        use_sigmoid: Must be True, and stand in the config of dense heads. Default True.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        compiled: Whether to compile the loss; ``'auto'`` does on a GPU. Default
            ``'auto'``.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range.

    Example:
        >>> import torch
        >>> loss = AsymmetricLoss(gamma_neg=0, gamma_pos=0, margin=0)
        >>> loss(torch.zeros(1, 2), torch.tensor([0]), avg_factor=1)  # 2 log(2)
        tensor(1.3863)

    Source: Ridnik et al., "Asymmetric Loss For Multi-Label Classification", ICCV 2021,
    equations 5 to 7. The bias at the start and ``alpha`` are our own. Deviation: the
    derivative is that of the whole expression; the authors' code can also take the
    focal factors for constants.
    """

    def __init__(
        self,
        gamma_neg: float = 4.0,
        gamma_pos: float = 1.0,
        margin: float = 0.05,
        alpha: float | None = None,
        use_sigmoid: bool = True,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        compiled: bool | str = "auto",
    ) -> None:
        name = type(self).__name__
        check_choice(name, "use_sigmoid", use_sigmoid, (True,))
        super().__init__(True, reduction, loss_weight, compiled)
        check_number(name, "gamma_neg", gamma_neg, 0, None)
        check_number(name, "gamma_pos", gamma_pos, 0, None)
        check_number(name, "margin", margin, 0, 0.25)
        if alpha is not None:
            check_number(name, "alpha", alpha, 0, 1)
        self.alpha = alpha
        self.element = AsymmetricElement(
            float(gamma_neg), float(gamma_pos), float(margin)
        )
        if margin:
            self.link = SigmoidLink(start_bias=logit(2 * margin))

    def terms(self, call: Call) -> Terms:
        """Return the element, and alpha and 1 - alpha."""
        if self.alpha is None:
            return Terms(element=self.element)
        alpha = call.cls_score.new_tensor(self.alpha, dtype=torch.float32)
        return Terms(element=self.element, positive=alpha, negative=1 - alpha)
