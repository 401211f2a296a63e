"""Asymmetric loss: easy negatives count less than easy positives."""

from __future__ import annotations

import torch
from torch import Tensor

from imb_det.core import check_choice, check_number
from imb_det.registry import MODELS

from .base import ImbalanceLoss
from .elements import sigmoid_and_softplus
from .links import SigmoidLink
from .terms import Call, Terms

__all__ = ["AsymmetricElement", "AsymmetricLoss"]


class AsymmetricElement:
    r"""Focal loss with an exponent for each sign and a margin of negatives.

    Args:
        gamma_neg: Exponent of negatives, >= 0.
        gamma_pos: Exponent of positives, >= 0.
        margin: Taken off the probability of negatives, in [0, 1).
    """

    is_symmetric = False

    def __init__(self, gamma_neg: float, gamma_pos: float, margin: float) -> None:
        self.gamma_neg, self.gamma_pos, self.margin = gamma_neg, gamma_pos, margin

    def __call__(self, z: Tensor, positive: Tensor | None) -> tuple[Tensor, Tensor]:
        r"""Return loss and derivative by z, which is negated for positives.

        Of a positive, p is the probability of its absence, so that its loss is
        :math:`p^{\gamma} (-\log(1 - p))`, as that of a negative without margin.
        """
        p, nll = sigmoid_and_softplus(z)
        if positive is None:
            positive = torch.zeros_like(z, dtype=torch.bool)
        rest = 1 - p  # dp/dz = p (1 - p)
        loss, slope = _focal(p, nll, p * rest, p, self.gamma_pos)
        lowered = (p - self.margin).clamp(min=0)
        kept = lowered > 0 if self.margin else torch.ones_like(positive)
        if self.margin:
            # 1 - (p - m) >= m, so nothing here is rounded to 0.
            nll = -torch.log1p(-lowered)
            rate = p * rest / (1 - lowered)
        else:
            rate = p
        of_negative, its_slope = _focal(lowered, nll, p * rest, rate, self.gamma_neg)
        its_slope = torch.where(kept, its_slope, 0)
        return (
            torch.where(positive, loss, of_negative),
            torch.where(positive, slope, its_slope),
        )


def _focal(
    p: Tensor, nll: Tensor, slope_p: Tensor, slope_nll: Tensor, gamma: float
) -> tuple[Tensor, Tensor]:
    """Return p^gamma nll and its derivative, from those of p and nll."""
    if gamma == 0:
        return nll, slope_nll
    tiny = torch.finfo(p.dtype).tiny
    factor = p**gamma
    inner = gamma * p.clamp(min=tiny) ** (gamma - 1) * slope_p * nll
    return factor * nll, factor * slope_nll + torch.where(p > 0, inner, 0)


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
            start = torch.logit(torch.tensor(2.0 * margin)).item()
            self.link = SigmoidLink(start_bias=start)

    def terms(self, call: Call) -> Terms:
        """Return the element, and alpha and 1 - alpha."""
        if self.alpha is None:
            return Terms(element=self.element)
        alpha = call.cls_score.new_tensor(self.alpha, dtype=torch.float32)
        return Terms(element=self.element, positive=alpha, negative=1 - alpha)
