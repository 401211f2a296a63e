"""Factors of the elements of a sigmoid loss."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .one_pass import multiplied

__all__ = ["Factors", "factor_by_target", "factor_of", "scaled"]


class Factors(NamedTuple):
    """Factors of elements, in the type of the computation or bool; None for 1."""

    positive: Tensor | None
    negative: Tensor | None
    scale: Tensor | None


def factor_of(values: Tensor | None, z: Tensor) -> Tensor | None:
    """Return factors in the type of the computation; bool as it is."""
    if values is None or values.dtype == torch.bool:
        return values
    return values.to(z.dtype)


def factor_by_target(factors: Factors, z: Tensor, target: Tensor) -> Tensor | None:
    """Return the factor of each element by its target, above 0 or not; None for 1.

    Args:
        factors: Of positives and negatives, (K,), (n, K), or as the logits.
        z: Logits, for the type.
        target: Of the same shape.
    """
    positive, negative, _ = factors
    if positive is None and negative is None:
        return None
    one = z.new_ones(())
    return torch.where(
        target > 0,
        one if positive is None else positive.to(z.dtype),
        one if negative is None else negative.to(z.dtype),
    )


def scaled(
    slope: Tensor,
    columns: tuple[Tensor | None, ...],
    row: Tensor | None,
    place: Tensor | None,
) -> Tensor:
    """Multiply in as few passes as there can be; the last one writes to its place.

    Args:
        slope: Float (n, K), which is lost.
        columns: Factors (K,), (n, K) or scalar; bool ones have been dealt with.
        row: Factor (n, 1) or (n, K).
        place: Where the result may be written.
    """
    one: Tensor | None = None
    for factor in columns:
        if factor is None or factor.dtype == torch.bool:
            continue
        if factor.dim() == 2:
            slope = slope.mul_(factor)
        else:
            one = factor if one is None else one * factor
    if one is not None and row is not None:
        if one.dim() == 0:
            one = one * row
        else:
            slope, one = slope.mul_(one), row
    last = row if one is None else one
    return slope if last is None else multiplied(slope, last, place)
