"""What a loss may see of a pass over the logits."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .rows import OwnClass

__all__ = ["Observed"]


@dataclass
class Observed:
    """What a pass over the logits knows at its end, all float64 by channel.

    Gradients are those of the sum of the loss by the logits, after weights and factors,
    without ``loss_weight`` and normaliser.

    Args:
        positive_gradient: Sum of the sizes of gradients where a channel is the row's
            own, (K,).
        negative_gradient: The same where it is not, (K,).
        rows: Number of rows of each channel that count, (K,).
        own_score: Sum of their probabilities of their own channel, (K,), by the logits
            as they predict, without scale, margin and offset.
    """

    positive_gradient: Tensor
    negative_gradient: Tensor
    rows: Tensor
    own_score: Tensor

    @classmethod
    def nothing(cls, like: Tensor) -> Observed:
        """Return zeros for the logits (N, K)."""
        zeros = like.new_zeros(4, like.size(1)).double()
        return cls(*zeros.unbind())

    def add(self, other: Observed) -> None:
        """Add what another part of the rows has shown."""
        for name, total in vars(self).items():
            total += getattr(other, name)

    def without(self, factor: float) -> Observed:
        """Return the same of a pass that had multiplied the loss by a factor."""
        return replace(
            self,
            positive_gradient=self.positive_gradient / factor,
            negative_gradient=self.negative_gradient / factor,
        )

    @classmethod
    def of_targets(
        cls, score: Tensor, slope: Tensor, target: Tensor, counted: Tensor | None
    ) -> Observed:
        """Sum what a pass over soft targets shows; each above 0 is a row's own.

        Args:
            score: Probabilities, (n, K).
            slope: Gradient of the loss, (n, K).
            target: (n, K).
            counted: Which elements count, bool (n, 1) or (n, K); None for all.
        """
        mine = target > 0
        if counted is not None:
            mine = mine & counted
        size = slope.abs().double()
        pull, push = torch.where(mine, size, 0), torch.where(mine, 0, size)
        scores = torch.where(mine, score.double(), 0)
        return cls(pull.sum(0), push.sum(0), mine.sum(0).double(), scores.sum(0))

    @classmethod
    def of(
        cls,
        score: Tensor,
        pull: Tensor,
        slope: Tensor,
        own: OwnClass,
        counted: Tensor | None,
        is_push: bool = False,
    ) -> Observed:
        """Sum what a pass shows, by channel.

        Args:
            score: Probability of each row's own channel, (n, 1).
            pull: Gradient of the loss by each row's own channel, (n, 1).
            slope: Gradient of the loss by all others, (n, K), 0 at the own ones.
            own: Of the rows.
            counted: Which elements count, bool (n, 1) or (n, K); None for all.
            is_push: Whether the slopes are known to be at least 0. Default False.
        """
        mine = own.counts(counted)
        values = torch.stack([pull.abs(), mine, score], 0).double()
        values = torch.where(mine, values, 0)
        sums = score.new_zeros(3, own.channels).double()
        sums = sums.scatter_add(1, own.column.T.expand(3, -1), values.squeeze(2))
        size = slope if is_push else slope.abs()
        return cls(sums[0], size.sum(0).double(), sums[1], sums[2])
