"""Means of classes that move with the number of their examples."""

from __future__ import annotations

import torch
from torch import Tensor

from .running_stats import RunningStats

__all__ = ["CountedMeans"]


class CountedMeans(RunningStats):
    r"""A mean of each class, which k examples of a step move as much as k steps of one.

    .. math:: m \leftarrow a^k m + (1 - a^k)\, \bar{x}

    where k counts the examples of the class in the step on all ranks, and
    :math:`\bar x` is their mean. So neither the order of examples nor how they are
    shared among ranks matters, and a class without examples stays as it is.

    Calls add (sums, counts), (2 C,).

    Args:
        size: C; None where :meth:`resize` tells it later, or a checkpoint.
        momentum: Share a of the past for each example, in [0, 1).
        start: What all means are before the first example.

    Example:
        >>> means = CountedMeans(2, momentum=0.5, start=0.0)
        >>> means.managed = True
        >>> # Two examples of 1.0 of the first class, none of the second.
        >>> means.add(torch.tensor([2.0, 0.0, 2.0, 0.0]))
        >>> means.commit(means.pending, world_size=1)
        >>> means.value
        tensor([0.7500, 0.0000], dtype=torch.float64)
    """

    def __init__(self, size: int | None, momentum: float, start: float) -> None:
        super().__init__(None, momentum)
        self.start = start
        if size is not None:
            self.resize(size)

    @property
    def value(self) -> Tensor:
        """The means, float64 (C,)."""
        return self.mean

    def resize(self, size: int) -> None:
        """Start anew with another number of classes; with the same one, do nothing."""
        if len(self.mean) != size:
            self.mean = self.mean.new_full((size,), self.start)
            self.pending = self.pending.new_zeros(2 * size)
            self.steps.zero_()

    def forget_training(self) -> None:
        """Start anew: what a checkpoint has counted was another training."""
        super().forget_training()
        self.mean.fill_(self.start)

    @torch.no_grad()
    def commit(self, total: Tensor, world_size: int) -> None:
        """End a step.

        Args:
            total: Sum of ``pending`` over ranks, float64 (2 C,).
            world_size: Number of ranks.
        """
        self.world_size.fill_(world_size)
        sums, counts = total.chunk(2)
        keep = torch.as_tensor(self.momentum, dtype=total.dtype) ** counts
        mean = keep * self.mean + (1 - keep) * sums / counts.clamp(min=1)
        some = (total != 0).any() & total.isfinite().all()
        self.mean.copy_(torch.where(some, mean, self.mean))
        self.steps += some
        self.pending.zero_()
