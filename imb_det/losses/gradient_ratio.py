"""The ratio of what pulls a class up to what pushes it down, over a training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from imb_det.statistics.class_stats import ClassStats
from imb_det.statistics.running_stats import RunningStats

from .observed import Observed

__all__ = ["GradientRatio"]


class GradientRatio(nn.Module):
    r"""Sums of gradients of positives and negatives for ever, and their ratio.

    .. math:: g_c = \frac{\sum |\partial L / \partial z_c|\,[y = c]}
                         {\sum |\partial L / \partial z_c|\,[y \ne c] + 10^{-10}}

    over all rows, calls, steps and ranks before this step.

    Args:
        start: Ratio of a class before any gradient.
    """

    def __init__(self, start: float) -> None:
        super().__init__()
        self.start = start
        self.sums = RunningStats(None, momentum=None)

    def set_class_stats(self, stats: ClassStats) -> None:
        """Learn the number of classes."""
        self.sums.resize(2 * stats.num_classes)

    def add(self, seen: Observed, num_classes: int, factor: Tensor | float = 1) -> None:
        """Take the gradients of a call.

        Args:
            seen: What it has shown.
            num_classes: C; other outputs are left out.
            factor: Of the gradients. Default 1.
        """
        both = (seen.positive_gradient, seen.negative_gradient)
        self.sums.add(factor * torch.cat([sums[:num_classes] for sums in both]))

    def forward(self, num_classes: int, like: Tensor) -> Tensor:
        """Return the ratios, float64 (C,)."""
        sums = self.sums.value
        if len(sums) == 0:  # nobody has told the number of classes
            return like.new_full((num_classes,), self.start, dtype=torch.float64)
        positive, negative = sums.chunk(2)
        is_new = positive + negative == 0
        return torch.where(is_new, self.start, positive / (negative + 1e-10))
