"""Losses of elements whose target lies between 0 and 1, with their derivatives.

A target such as the overlap of a box, or a label that is shared by two classes, is what
the probability is to become: every loss here has its minimum there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .caller import in_head

__all__ = ["as_pair", "focal_to", "require_soft", "soft_loss"]

_TINY = 1e-12  # powers below 1 of gaps have no end


def require_soft(owner: str, element: Any) -> None:
    """Refuse targets where an element has no loss for those between 0 and 1.

    Args:
        owner: Name of the loss.
        element: Of the loss; None for cross entropy.

    Raises:
        ValueError: It has none.
    """
    if element is None or hasattr(element, "soft") or getattr(element, "mixes", False):
        return
    raise ValueError(
        f"{in_head(owner)} needs classes: it has no loss that is least at a target "
        "between 0 and 1, such as the overlap of a box; use "
        "`imb_det.QualityFocalLoss` or `imb_det.FocalLoss`"
    )


def as_pair(target: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return classes and qualities in place of a matrix that has one a row at most.

    Rows with one class are much quicker than elements. Other matrices stay as they are.

    Args:
        target: (N, K), at hand.

    Returns:
        Labels, int64 (N,), background K, and qualities, (N,), None where all are 1; or
        the target, and None.
    """
    if not target.numel() or not float(target.min()) >= 0:  # NaN is not
        return target, None
    rows = target.sum(1).nonzero().squeeze(1)  # few, and sums are quick
    some = target[rows]
    own, column = some.max(1)
    if int(torch.count_nonzero(some)) != len(rows):
        return target, None
    label = column.new_full((len(target),), target.size(1))
    label[rows] = column
    if bool((own == 1).all()):
        return label, None
    quality = own.new_zeros(len(target))
    quality[rows] = own
    return label, quality


def soft_loss(element: Any, z: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return loss and derivative of elements with targets in [0, 1].

    Args:
        element: Of the loss, see :func:`require_soft`.
        z: Logits, of any shape.
        target: Of the same shape.
    """
    soft = getattr(element, "soft", None)
    if soft is not None:
        loss, slope = soft(z, target)
        return loss, slope
    loss_of_one, slope_of_one = element(-z, True)
    loss_of_zero, slope_of_zero = element(z, False)
    zero = 1 - target
    return (
        target * loss_of_one + zero * loss_of_zero,
        zero * slope_of_zero - target * slope_of_one,
    )


def focal_to(z: Tensor, target: Tensor, gamma: float | Tensor) -> tuple[Tensor, Tensor]:
    r"""Return quality focal loss and its derivative.

    .. math:: L = |y - p|^\gamma \left(-y \log p - (1 - y) \log(1 - p)\right)

    Each difference of two numbers that may be close is written so that it is exact to
    the digits of the type, also for targets of 0 and 1.

    Args:
        z: Logits, of any shape.
        target: y in [0, 1], of the same shape.
        gamma: Exponent, >= 0, a number or a tensor that fits.

    Source: Li et al., "Generalized Focal Loss", NeurIPS 2020, equation 2.
    """
    e = torch.exp(-z.abs())
    small = e / (1 + e)  # the lesser one of p and 1 - p
    cross_entropy = z.clamp(min=0) - z * target + torch.log1p(e)
    gap = torch.where(z > 0, (1 - target) - small, small - target)  # p - y
    if not isinstance(gamma, Tensor) and gamma == 0:
        return cross_entropy, gap
    if isinstance(gamma, Tensor):
        gamma = gamma.to(z.dtype)
    size = gap.abs()
    modulation = size**gamma
    rate = gamma * size.clamp(min=_TINY) ** (gamma - 1)
    bend = rate * torch.sign(gap) * (small / (1 + e))
    return modulation * cross_entropy, modulation * gap + bend * cross_entropy
