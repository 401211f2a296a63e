"""Sums a judgement over the positive rows of loss calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from .class_accuracy import Judge, rows_of
from .loss_meter import LossMeter

__all__ = ["AccuracyMeter"]


class AccuracyMeter(LossMeter):
    """Sums a judgement over the positive rows of loss calls, by class.

    Args:
        losses: Losses to listen to.
        num_classes: C.
        judge: Gives a number in [0, 1] for each row, also of those that do not count.
        only_training: As of :class:`~imb_det.difficulty.loss_meter.LossMeter`.
    """

    def __init__(
        self,
        losses: Mapping[str, nn.Module],
        num_classes: int,
        judge: Judge,
        only_training: bool,
    ) -> None:
        super().__init__(losses, (2, num_classes), only_training)
        self.num_classes = num_classes
        self.judge = judge

    def accuracy(self) -> np.ndarray:
        """Return the mean judgement, float64 (C,), NaN without rows; start anew."""
        value, rows = self.total
        mean = np.full(self.num_classes, np.nan)
        np.divide(value, rows, out=mean, where=rows > 0)
        self.total = np.zeros_like(self.total)
        return mean.clip(0, 1)

    @torch.no_grad()
    def measure(self, loss: nn.Module, score: Any, label: Any, weight: Any) -> None:
        """Count the rows of a loss call; the host does not wait for the GPU."""
        # Half precision would round what is to be compared.
        with torch.autocast(score.device.type, enabled=False):
            logits, rows, counted = rows_of(score, label, weight, self.num_classes)
            value = self.judge(loss, logits, rows, self.num_classes).double()
        # No product, as the logits of rows that do not count may be NaN.
        value = value.masked_fill(~counted, 0)
        self.local(value).index_add_(1, rows, torch.stack([value, counted.double()]))
