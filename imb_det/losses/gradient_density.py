"""Gradient density: how many examples share a gradient norm."""

from __future__ import annotations

import torch
from torch import Tensor

from imb_det.core import check_choice, check_number
from imb_det.statistics.exact_buffers import ExactBuffers
from imb_det.statistics.running_stats import RunningStats

__all__ = ["GradientDensity", "bin_counts", "check_density"]

STATISTICS = ("step", "call")


def bin_counts(norm: Tensor, bins: int) -> Tensor:
    """Count gradient norms in equal bins of [0, 1].

    Args:
        norm: Norms, at most 1, of any shape; below 0 they count nowhere. In eager
            mode fewer than 2^24 of them, as a float32 counts.
        bins: Number of bins M.

    Returns:
        Counts, float64 (M,); 1 counts in the last bin.
    """
    # On a GPU histc refuses deterministic runs, though counts have no order.
    refused = norm.is_cuda and torch.are_deterministic_algorithms_enabled()
    if not (torch.compiler.is_compiling() or refused):
        return torch.histc(norm, bins, 0, 1).double()
    # Compiled, sums over comparisons become one vectorised pass; a histogram does not.
    scaled = norm * bins
    reached = [(scaled >= j).sum(dtype=torch.int32) for j in range(bins)]
    above = [*reached[1:], torch.zeros_like(reached[0])]
    return (torch.stack(reached) - torch.stack(above)).double()


class GradientDensity(ExactBuffers):
    r"""Weights of examples by the density of their gradient norms.

    With :math:`S_j` the mean number of examples a step in bin j, N their sum and n the
    number of bins that have held an example so far, an example in bin j has the weight

    .. math:: \beta_j = \frac{N}{n\, \max(S_j, s)}

    so all bins with at least s examples have the same share of the loss, and examples
    all in one bin have weight 1. A bin with fewer says little about density, and its
    single examples, often outliers, would weigh as much as all of another bin.

    For a mean over positives in place of examples, with their mean number P a step,

    .. math:: \beta_j = \frac{P}{n\, \max(S_j, \min(s, P / M))}

    so that a positive weighs at most M / n where there are few, :math:`P \le M s`, and
    else at most as in a mean over examples. Before the first step, without a count,
    these weights are the middles of the bins.

    Args:
        bins: Number of bins M of [0, 1], >= 1.
        momentum: Share of the past in the mean over steps, in [0, 1).
        statistics: ``'step'``: means over steps of the counts of all calls (levels)
            of a step on all ranks, those of the steps before the current one; the
            first step has weights of 1. ``'call'``: counts of the call alone, averaged
            from zero over calls, on each rank for itself, as the authors have it.
        min_count: Least count s of a bin, > 0.
        of_positives: Whether weights are for a mean over positives. Default False.
    """

    acc_sum: Tensor
    stats: RunningStats

    def __init__(
        self,
        bins: int,
        momentum: float,
        statistics: str,
        min_count: float,
        of_positives: bool = False,
    ) -> None:
        super().__init__()
        self.min_count = min_count
        self.of_positives = of_positives
        self.bins = bins
        self.momentum = momentum
        self.per_call = statistics == "call"
        if self.per_call:
            self.register_buffer("acc_sum", torch.zeros(bins, dtype=torch.float64))
        else:
            self.stats = RunningStats(bins + of_positives, momentum)

    def forget_training(self) -> None:
        """Start anew: what a checkpoint has counted was another training."""
        if self.per_call:
            self.acc_sum.zero_()

    def forward(self) -> tuple[Tensor, Tensor]:
        """Return weights of the bins by the steps before, and N of one rank.

        Returns:
            Float32 (M,), ones before the first step; float32 scalar, then 0.
        """
        mean = self.stats.value
        total = mean.sum()
        # A mean never gets back to 0: all bins but those that nothing was ever in.
        used = (mean > 0).sum()
        beta = total / (used * mean.clamp(min=self.min_count))
        beta = torch.where(total > 0, beta, 1)
        return beta.float(), (total / self.stats.world_size).float()

    def over_positives(self) -> Tensor:
        """Return weights of the bins by the steps before, for a mean over positives.

        Returns:
            Float32 (M,).
        """
        mean, positives = torch.split(self.stats.value, [self.bins, 1])
        used = (mean > 0).sum()
        least = (positives / self.bins).clamp(max=self.min_count)
        beta = positives / (used * torch.maximum(mean, least))
        place = torch.arange(self.bins, dtype=mean.dtype, device=mean.device)
        middle = (place + 0.5) / self.bins
        return torch.where(positives > 0, beta, middle).float()

    def of_call(self, count: Tensor, remember: bool) -> tuple[Tensor, Tensor]:
        """Return weights of the bins by the authors' average, and N of the call.

        Args:
            count: Examples of the call by bin, float64 (M,).
            remember: Whether the call enters the average.

        Returns:
            Float32 (M,); float32 scalar, at least 1.
        """
        filled = count > 0
        density = count
        if self.momentum > 0:
            average = self.momentum * self.acc_sum + (1 - self.momentum) * count
            density = torch.where(filled, average, self.acc_sum)
            if remember:
                self.acc_sum.copy_(density)
        total = count.sum().clamp(min=1)
        beta = total / (filled.sum().clamp(min=1) * density)
        return torch.where(filled, beta, 0).float(), total.float()


def check_density(
    owner: str, bins: int, momentum: float, statistics: str, min_count: float
) -> None:
    """Check the arguments of a density.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range.
    """
    if isinstance(bins, bool) or not isinstance(bins, int):
        raise TypeError(f"{owner}: `bins` must be an int, got {bins!r}")
    check_number(owner, "bins", bins, 1, None)
    check_number(owner, "momentum", momentum, 0, 1 - 1e-12)
    check_choice(owner, "statistics", statistics, STATISTICS)
    check_number(owner, "min_count", min_count, 0, None, open_ends=True)
