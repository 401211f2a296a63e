"""Logits of heads that pass probabilities."""

from __future__ import annotations

import torch
from torch import Tensor

from .number_checks import check_probabilities
from .one_pass import compute_dtype

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
    check_probabilities(owner, "activated=True", p)
    bad = (p < 0) | (p > 1)
    z = p.clamp(min=_LEAST).log() - torch.log1p(-p.clamp(max=_MOST))
    return torch.where(bad, torch.nan, z)
