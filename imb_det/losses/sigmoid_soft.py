"""Sigmoid losses of soft targets, element by element."""

from __future__ import annotations

import torch
from torch import Tensor

from .elements import Element
from .observed import Observed
from .one_pass import Found
from .rows import Rows
from .sigmoid_factors import Factors, scaled

__all__ = ["soft_rows"]


def soft_rows(
    element: Element,
    factors: Factors,
    z: Tensor,
    target: Tensor,
    rows: Rows,
    per_row: bool,
    watch: bool,
    place: Tensor | None,
) -> Found:
    """Loss, gradient and observations for targets in [0, 1]."""
    loss, slope = _soft_elements(element, factors, z, target)
    factor = rows.factor
    if per_row and (factor is None or factor.size(1) == 1):
        loss = loss.sum(1, keepdim=True)
    if factor is not None:
        loss = loss * factor
    slope = scaled(slope, (factors.scale,), factor, place)
    seen = None
    if watch:
        probability = getattr(element, "probability", torch.sigmoid)
        score = probability(rows.cls_score.to(z.dtype))
        seen = Observed.of_targets(score, slope, target, rows.counted)
    return loss, slope, seen


def _soft_elements(
    element: Element, factors: Factors, z: Tensor, target: Tensor
) -> tuple[Tensor, Tensor]:
    """Loss and gradient of elements, without scale and factor of rows."""
    positive, negative, _ = factors
    soft = getattr(element, "soft", None)
    if soft is not None:
        if positive is not None or negative is not None:
            raise ValueError(
                f"{type(element).__name__} has one loss for soft targets, which cannot "
                "have factors of positives and negatives"
            )
        return soft(z, target)
    loss_of_one, slope_of_one = element(-z, True)
    loss_of_zero, slope_of_zero = element(z, False)
    one, zero = target, 1 - target
    if positive is not None:
        one = one * positive
    if negative is not None:
        zero = zero * negative
    return (
        one * loss_of_one + zero * loss_of_zero,
        zero * slope_of_zero - one * slope_of_one,
    )
