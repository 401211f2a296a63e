"""From the losses of rows or elements to a number."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .observed import Observed
from .terms import Call

__all__ = ["REDUCTIONS", "Unreduced", "known_factor", "sum_factor"]

# Factors of rows and elements beside it stay far from the ends of float32.
_LARGE = 1e12

REDUCTIONS = ("none", "mean", "sum")


class Unreduced(NamedTuple):
    """What a loss is before it is reduced, times the factor of the call.

    Args:
        loss: Of rows (N,) or elements (N, K), with its graph.
        normaliser: Of the terms, or None.
        call: That the loss was told.
        seen: What the pass has shown, or None.
    """

    loss: Tensor
    normaliser: Tensor | None
    call: Call
    seen: Observed | None


def sum_factor(loss_weight: float, divisor: float | Tensor | None) -> float | Tensor:
    """Return what the sum of a loss is multiplied by.

    Args:
        loss_weight: Of the loss.
        divisor: ``avg_factor``, or None for a sum.
    """
    if divisor is None:
        return loss_weight
    # As mmdet divides: without positives a head may give 0.
    return loss_weight / (divisor + torch.finfo(torch.float32).eps)


def known_factor(
    loss_weight: float, reduction: str, divisor: float | Tensor | None
) -> float:
    """Return :func:`sum_factor` as a number for the pass over the logits; 1 for none.

    A pass that multiplies by it leaves a gradient that need not be multiplied later.
    It is left to the reduction (1) where there is no such number before there is a
    loss, where it wants a gradient, and where it is so small or large that products of
    it in float32 may be 0 or infinite. To look at a divisor costs nothing on a CPU;
    elsewhere it would be waited for.

    Args:
        loss_weight: Of the loss.
        reduction: Of the call.
        divisor: ``avg_factor``, or None.
    """
    if reduction != ("sum" if divisor is None else "mean"):
        return 1.0
    if any(isinstance(x, Tensor) and x.requires_grad for x in (loss_weight, divisor)):
        return 1.0
    if divisor is not None:
        divisor = float(divisor)  # before it meets what its own type would round
    factor = float(sum_factor(loss_weight, divisor))
    return factor if 1 / _LARGE < factor < _LARGE else 1.0
