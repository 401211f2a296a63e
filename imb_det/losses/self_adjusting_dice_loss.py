"""Dice loss in which what is easy counts less."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from imb_det.core import check_choice, check_number
from imb_det.registry import MODELS

from .region_loss import RegionLoss

__all__ = ["SelfAdjustingDiceLoss"]


@MODELS.register_module()
class SelfAdjustingDiceLoss(RegionLoss):
    r"""Dice loss whose probabilities are damped where they are high already (DSC).

    .. math:: \ell = 1 - \frac{2 \sum_p q\, t + s}{\sum_p q + \sum_p t + s}, \qquad
              q = (1 - p)^\alpha\, p

    q has its maximum at p = 1 / (1 + alpha), where the loss pulls pixels of the mask:
    from both sides, so that a large alpha leaves scores low. At alpha = 1 it is the
    threshold 0.5 of mask heads.

    Args:
        alpha: Exponent, in [0, 1]; 0 for plain dice. The authors' code has 0 where a
            script gives none.
        smooth: s, > 0. Default 1e-4.
        square_denominator: Whether the sums of the denominator are of squares. Default
            False.
        **kwargs: See :class:`OverlapLoss`.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range.

    Source: Li, Sun, Meng, Liang, Wu, Li, "Dice Loss for Data-imbalanced NLP Tasks", ACL
    2020, equation 11, with the exponent and in the form for sets of the authors' code.
    Deviations: a set is the mask of an instance, or a class of the maps of a batch, in
    place of a batch; classes that are not there have no loss; the mean of the classes
    in place of their sum; no choice of hard negatives.
    """

    def __init__(
        self,
        alpha: float,
        smooth: float = 1e-4,
        square_denominator: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        name = type(self).__name__
        check_number(name, "alpha", alpha, 0, 1)
        check_number(name, "smooth", smooth, 0, None, open_ends=True)
        check_choice(name, "square_denominator", square_denominator, (True, False))
        self.alpha, self.smooth = alpha, smooth
        self.squared = square_denominator

    def shares(
        self, x: Tensor, logits: bool
    ) -> tuple[Tensor, Callable[[], Tensor] | None]:
        """Return q, and what returns its derivative by ``x``."""
        if self.alpha == 0:
            return super().shares(x, logits)
        p, rest = (x.sigmoid(), (-x).sigmoid()) if logits else (x, 1 - x)
        # A power, by functions that are faster; at p = 1 it is exp of -infinity.
        damped = rest.log().mul_(self.alpha).exp_()
        q = damped * p

        def slope() -> Tensor:
            rising = 1 - (1 + self.alpha) * p
            if logits:
                return rising.mul_(q)
            least = torch.finfo(x.dtype).eps  # at p = 1 it is infinite
            return rising.mul_(rest.clamp(min=least) ** (self.alpha - 1))

        return q, slope

    def of_sums(
        self, both: Tensor, of_pred: Tensor, of_mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the losses, and their derivatives by the first two sums."""
        total = of_pred + of_mask + self.smooth
        loss = (of_pred + of_mask - 2 * both) / total
        return loss, -2 / total, (1 - loss) / total
