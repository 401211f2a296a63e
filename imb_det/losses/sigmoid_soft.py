"""Sigmoid losses of soft targets, element by element."""

from __future__ import annotations

import torch
from torch import Tensor

from .elements import Element
from .observed import Observed
from .one_pass import Found
from .rows import Rows
from .sigmoid_factors import Factors, factor_by_target, scaled
from .soft_targets import soft_loss

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
    """Loss and gradient of elements, without scale and factor of rows.

    A factor multiplies all of an element, so that the loss stays least at the target:
    that of positives where there is something of the class, else that of negatives.
    """
    loss, slope = soft_loss(element, z, target)
    factor = factor_by_target(factors, z, target)
    if factor is None:
        return loss, slope
    return loss * factor, slope * factor
