"""The logarithm of a running mean of exponentials, which no exponential overflows."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .running_stats import RunningStats

__all__ = ["RunningLogMean"]

# Of single exponents, relative to the mean; float64 ends at 709.
_LIMIT = 300.0


class RunningLogMean(RunningStats):
    r"""Logarithm of a running mean of exponentials over rows of all ranks.

    .. math:: u \leftarrow (1 - \gamma)\, u + \gamma\, \frac{1}{n} \sum_{i=1}^n e^{x_i}

    over the steps in which some rank has a row; at first u is the mean of the first
    step. Exponentials are taken relative to the u of the steps before, which is the
    same on all ranks, so that they stay near 1 whatever the x.

    Args:
        gamma: Share of the last step, in (0, 1].

    Attributes:
        mean: log(u), and the rows of the last step that had some, float64 (2,).
    """

    def __init__(self, gamma: float) -> None:
        super().__init__(2, momentum=0.0)
        if not 0 < gamma <= 1:
            raise ValueError(f"`gamma` must be in (0, 1], got {gamma}")
        self.gamma = gamma

    @property
    def value(self) -> Tensor:
        """log(u) after the steps before, float64 scalar; 0 at first."""
        return self.mean[0]

    @property
    def known(self) -> Tensor:
        """Whether there has been a step with rows, bool scalar."""
        return self.steps > 0

    @torch.no_grad()
    def add_rows(self, exponents: Tensor, counted: Tensor) -> None:
        """Add rows of this step on this rank.

        Args:
            exponents: x of each row, float64 (N,).
            counted: Which rows count, bool (N,).
        """
        relative = (exponents - self.value.to(exponents.device)).clamp(-_LIMIT, _LIMIT)
        rows = torch.where(counted, relative.exp(), 0)
        self.add(torch.stack([rows.sum(), counted.sum().double()]))

    def blended(self, exponents: Tensor, counted: Tensor) -> Tensor:
        """Return log(u) as it would be with one more step of these rows alone.

        The arguments are those of :meth:`add_rows`. Without rows it is what it was.
        """
        masked = torch.where(counted, exponents, -torch.inf)
        rows = counted.sum()
        fresh = masked.logsumexp(0) - rows.clamp(min=1).double().log()
        return torch.where(rows > 0, self._mixed(fresh), self.value)

    def _mixed(self, fresh: Tensor) -> Tensor:
        """Return log((1 - gamma) u + gamma e^fresh), and at first ``fresh``."""
        if self.gamma == 1:
            return fresh
        old = self.value + math.log1p(-self.gamma)
        mixed = torch.logaddexp(old, fresh + math.log(self.gamma))
        return torch.where(self.known, mixed, fresh)

    @torch.no_grad()
    def commit(self, total: Tensor, world_size: int) -> None:
        """End a step.

        Args:
            total: Sum of ``pending`` over ranks, float64 (2,).
            world_size: Number of ranks.
        """
        self.world_size.fill_(world_size)
        some = (total[1] > 0) & total.isfinite().all()
        fresh = self.value + (total[0] / total[1].clamp(min=1)).log()
        mean = torch.stack([self._mixed(fresh), total[1]])
        self.mean.copy_(torch.where(some, mean, self.mean))
        self.steps += some
        self.pending.zero_()
