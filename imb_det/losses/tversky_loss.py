"""Dice loss with weights of what is missed and of what is too much."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from imb_det.core import check_number
from imb_det.registry import MODELS

from .region_loss import RegionLoss

__all__ = ["TverskyLoss"]

# A root has an infinite slope at 0, where a mask is found to the last pixel.
_LEAST = 1e-6


@MODELS.register_module()
class TverskyLoss(RegionLoss):
    r"""Tversky loss of masks and, with ``gamma`` above 1, focal Tversky loss.

    .. math:: \ell = \Big(1 - \frac{TP + s}{TP + a\, FN + b\, FP + s}\Big)^{1/\gamma}

    .. math:: TP = \sum_p p\, t, \quad FN = \sum_p (1 - p)\, t, \quad
              FP = \sum_p p\, (1 - t)

    A mask that is missed in part costs more where ``fn_weight`` is above ``fp_weight``:
    thin and small objects keep their pixels. With a = b = 0.5 it is dice loss, mmdet's
    ``DiceLoss(naive_dice=True, eps=2 * s)``, as numerator and denominator are halves of
    those; so the default ``smooth`` has Mask2Former's ``eps=1.0``.

    Args:
        fn_weight: a, the weight of pixels that are missed, >= 0. Default 0.7.
        fp_weight: b, the weight of pixels too much, >= 0. Default 0.3.
        gamma: Root of the focal form, > 0; above 1 masks that are nearly right count
            more than those that are not, which have a slope below 1. Default 1, none;
            the paper has 4/3.
        smooth: s, > 0. Default 0.5.
        **kwargs: See :class:`OverlapLoss`.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range.

    Example:
        >>> loss_dice = dict(
        ...     type="imb_det.TverskyLoss", class_weight="sqrt_inverse", loss_weight=5.0
        ... )

    Source: Salehi, Erdogmus, Gholipour, "Tversky loss function for image segmentation
    using 3D fully convolutional deep networks", MLMI 2017; Abraham, Khan, "A novel
    focal Tversky loss function with improved attention U-Net for lesion segmentation",
    ISBI 2019, equation 4. The papers swap the letters of the weights, so they have
    names here. Deviations: in semantic heads the mean of the classes that are there, in
    place of a sum over all; the slope of the root is that at 1e-6 where less is left.
    """

    def __init__(
        self,
        fn_weight: float = 0.7,
        fp_weight: float = 0.3,
        gamma: float = 1.0,
        smooth: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        name = type(self).__name__
        check_number(name, "fn_weight", fn_weight, 0, None)
        check_number(name, "fp_weight", fp_weight, 0, None)
        check_number(name, "gamma", gamma, 0, None, open_ends=True)
        check_number(name, "smooth", smooth, 0, None, open_ends=True)
        if fn_weight == fp_weight == 0:
            raise ValueError(f"{name}: `fn_weight` and `fp_weight` must not both be 0")
        self.fn_weight, self.fp_weight = fn_weight, fp_weight
        self.gamma, self.smooth = gamma, smooth

    def of_sums(
        self, both: Tensor, of_pred: Tensor, of_mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the losses, and their derivatives by the first two sums."""
        a, b = self.fn_weight, self.fp_weight
        wrong = (a * (of_mask - both) + b * (of_pred - both)).clamp(min=0)
        total = both + wrong + self.smooth
        loss = wrong / total
        by_both = (-(a + b) - loss * (1 - a - b)) / total
        by_pred = b * (1 - loss) / total
        if self.gamma == 1:
            return loss, by_both, by_pred
        power = 1 / self.gamma
        slope = power * loss.clamp(min=_LEAST) ** (power - 1)
        return loss**power, slope * by_both, slope * by_pred
