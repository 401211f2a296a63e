"""Logits of heads that pass probabilities."""

from __future__ import annotations

import torch
from torch import Tensor

from .caller import in_head
from .one_pass import can_look, compute_dtype

__all__ = ["logits_of"]

_LEAST = 1e-30  # of a probability: nothing but an infinite logit is below
_MOST = 1 - 2.0**-24  # the largest below 1 in float32


def logits_of(owner: str, probability: Tensor) -> Tensor:
    """Return the logits of probabilities, with their graph.

    Args:
        owner: Name of the loss.
        probability: In [0, 1], (N, K), at least as float32 in the result.

    Raises:
        ValueError: On a CPU, numbers that are none. On a GPU the loss becomes NaN.
    """
    p = probability.to(compute_dtype(probability))
    if can_look(p) and p.numel():
        low, high = (float(end) for end in p.detach().aminmax())
        if low < 0 or high > 1:
            raise ValueError(
                f"{in_head(owner)}: with `activated=True` it takes probabilities, got "
                f"numbers from {low:g} to {high:g}"
            )
    bad = (p < 0) | (p > 1)
    z = p.clamp(min=_LEAST).log() - torch.log1p(-p.clamp(max=_MOST))
    return torch.where(bad, torch.nan, z)
