"""Dice loss of masks, with weights of classes."""

from __future__ import annotations

from torch import Tensor

from imb_det.core import check_choice, check_number
from imb_det.registry import MODELS

from .class_weighted import ClassWeight
from .region_loss import RegionLoss

__all__ = ["DiceLoss"]


@MODELS.register_module()
class DiceLoss(RegionLoss):
    r"""mmdet's ``DiceLoss``, with a weight for each instance by its class.

    .. math:: \ell = 1 - \frac{2 \sum_p p\, t}{\sum_p p^2 + \sum_p t^2 + 2 \epsilon},
              \qquad
              \ell_{naive} = 1 - \frac{2 \sum_p p\, t + \epsilon}
                                      {\sum_p p + \sum_p t + \epsilon}

    Args:
        use_sigmoid: True for masks of instances, False for maps of classes in semantic
            heads, see :class:`OverlapLoss`. Default True.
        activate: Whether predictions are logits. Default True.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        naive_dice: Whether the denominator has no squares. Default False.
        loss_weight: Factor of the loss, >= 0. Default 1.
        eps: epsilon, > 0. Default 1e-3.
        class_weight: Weights of the classes, see :class:`imb_det.CrossEntropyLoss`.
            Default None, 1.
        ignore_index: Label of pixels that do not count, in semantic heads. Default 255.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range.

    Example:
        >>> loss_dice = dict(
        ...     type="imb_det.DiceLoss",
        ...     naive_dice=True,
        ...     eps=1.0,
        ...     loss_weight=5.0,
        ...     class_weight="sqrt_inverse",
        ... )

    Source: Milletari, Navab, Ahmadi, "V-Net", 3DV 2016, as mmdet has it: epsilon enters
    each of the two sums of squares, and not the numerator, so that an empty prediction
    of an empty mask has the loss 1; without squares it enters once, and the numerator
    too, so that the loss is 0. With ``class_weight=None`` both equal mmdet's.
    """

    def __init__(
        self,
        use_sigmoid: bool = True,
        activate: bool = True,
        reduction: str = "mean",
        naive_dice: bool = False,
        loss_weight: float = 1.0,
        eps: float = 1e-3,
        class_weight: ClassWeight = None,
        ignore_index: int | None = 255,
    ) -> None:
        super().__init__(
            use_sigmoid, activate, reduction, loss_weight, class_weight, ignore_index
        )
        check_choice(type(self).__name__, "naive_dice", naive_dice, (True, False))
        check_number(type(self).__name__, "eps", eps, 0, None, open_ends=True)
        self.squared, self.eps = not naive_dice, eps

    def of_sums(
        self, both: Tensor, of_pred: Tensor, of_mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the losses, and their derivatives by the first two sums."""
        apart = of_pred + of_mask - 2 * both
        if self.squared:
            total = of_pred + of_mask + 2 * self.eps
            apart = apart + 2 * self.eps
        else:
            total = of_pred + of_mask + self.eps
        loss = apart / total
        return loss, -2 / total, (1 - loss) / total
