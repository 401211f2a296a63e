"""From the losses of rows or elements to a number."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .observed import Observed
from .terms import Call

__all__ = ["REDUCTIONS", "Unreduced", "known_factor", "sum_factor"]

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
    """Return the same as a number before there is a loss; 1 where it is none yet.

    A pass that multiplies by it leaves a gradient that need not be multiplied later.
    To look at the divisor costs nothing on a CPU; elsewhere it would be waited for.

    Args:
        loss_weight: Of the loss.
        reduction: Of the call.
        divisor: ``avg_factor``, or None.
    """
    is_known = reduction == ("sum" if divisor is None else "mean")
    if isinstance(divisor, Tensor) and divisor.requires_grad:
        is_known = False
    factor = float(sum_factor(loss_weight, divisor)) if is_known else 1.0
    return factor if 0 < factor < math.inf else 1.0
