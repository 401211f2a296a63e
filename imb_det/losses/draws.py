"""Elements that are drawn at random, each for itself."""

from __future__ import annotations

import torch
from torch import Tensor

from .one_pass import can_look

__all__ = ["drawn"]


def drawn(share: Tensor, kind: Tensor) -> Tensor:
    """Draw elements, each with the probability of its column in rows of its kind.

    Args:
        share: Probability of each column in rows of each kind, float (G, K) in [0, 1].
        kind: Kind of each row, int (n,) in [0, G).

    Returns:
        Those that are drawn, bool (n, K).
    """
    size = len(kind), share.size(1)
    if not can_look(share):
        return torch.rand(size, device=share.device) < share.index_select(0, kind)
    # A CPU draws eight bytes in the time of one number. They are compared with bounds
    # that are rounded at random, so that each element has exactly its probability.
    words = torch.empty(-(-size[0] * size[1] // 8), dtype=torch.int64)
    words.random_(-(2**63), None)
    bytes_ = words.view(torch.uint8)[: size[0] * size[1]].view(size)
    bound = (256 * share.double() + torch.rand(share.shape)).floor()
    below = bound.clamp(max=255).to(torch.uint8).index_select(0, kind)
    return (bytes_ < below).logical_or_((bound >= 256).index_select(0, kind))
