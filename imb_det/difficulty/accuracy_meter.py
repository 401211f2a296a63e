"""Listens to the classification losses of a model."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_reduce
from torch import nn

from .class_accuracy import Judge, rows_of

__all__ = ["AccuracyMeter", "class_losses"]


def class_losses(model: nn.Module, num_classes: int) -> dict[str, nn.Module]:
    """Find the losses ``loss_cls`` of the heads for ``num_classes`` classes.

    That leaves region proposal networks out. A loss that heads share is listed once.

    Raises:
        ValueError: There is none; names the heads that were passed over.
    """
    found: dict[str, nn.Module] = {}
    others = []
    for name, module in model.named_modules():
        loss = getattr(module, "loss_cls", None)
        if not isinstance(loss, nn.Module) or loss in found.values():
            continue
        if getattr(module, "num_classes", None) == num_classes:
            found[f"{name}.loss_cls".lstrip(".")] = loss
        else:
            others.append(f"{name} ({type(module).__name__})")
    if not found:
        raise ValueError(
            f"no head of {type(model).__name__} classifies {num_classes} classes "
            "with a module `loss_cls`; its other heads with one: "
            f"{others or 'none'}"
        )
    return found


class AccuracyMeter:
    """Sums a judgement over the positive rows of loss calls, by class.

    Calls with ``reduction_override`` are left out: they are made by samplers that look
    for hard examples, on rows that are then passed again.

    Args:
        losses: Losses to listen to.
        num_classes: C.
        judge: Gives a number in [0, 1] for each row, also of those that do not count.
        only_training: Whether to leave out what is no training step: calls without
            gradient, or of a loss in evaluation mode.
    """

    def __init__(
        self,
        losses: Mapping[str, nn.Module],
        num_classes: int,
        judge: Judge,
        only_training: bool,
    ) -> None:
        self.losses = losses
        self.num_classes = num_classes
        self.judge = judge
        self.only_training = only_training
        self.is_paused = False
        self.total: np.ndarray = np.zeros((2, num_classes))  # of all ranks
        self._local = torch.zeros(2, num_classes, dtype=torch.float64)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen to the losses for the time of a ``with`` block."""
        handles = [
            loss.register_forward_pre_hook(
                _Listener(self, *inspect.signature(loss.forward).parameters),
                with_kwargs=True,
            )
            for loss in self.losses.values()
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def collect(self) -> None:
        """Add up what the ranks have seen since; every rank must call this."""
        local = self._local.cpu()
        all_reduce(local)
        self.total += local.numpy()
        self._local.zero_()

    def accuracy(self) -> np.ndarray:
        """Return the mean judgement, float64 (C,), NaN without rows; start anew."""
        value, rows = self.total
        mean = np.full(self.num_classes, np.nan)
        np.divide(value, rows, out=mean, where=rows > 0)
        self.total = np.zeros_like(self.total)
        return mean.clip(0, 1)

    @torch.no_grad()
    def add(self, loss: nn.Module, score: Any, label: Any, weight: Any) -> None:
        """Count the rows of a loss call; the host does not wait for the GPU."""
        # Half precision would round what is to be compared.
        with torch.autocast(score.device.type, enabled=False):
            logits, rows, counted = rows_of(score, label, weight, self.num_classes)
            value = self.judge(loss, logits, rows, self.num_classes).double()
        # No product, as the logits of rows that do not count may be NaN.
        value = value.masked_fill(~counted, 0)
        if self._local.device != value.device:
            self._local = self._local.to(value.device)
        self._local.index_add_(1, rows, torch.stack([value, counted.double()]))


class _Listener:
    """Hook on the calls of a loss.

    Models are copied and saved with their hooks. A copy of this one is deaf: what a
    copy of the model computes does not count.
    """

    def __init__(self, meter: AccuracyMeter | None = None, *names: str) -> None:
        self.meter = meter
        self.names = names  # of the arguments of the loss

    def __call__(self, loss: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        meter = self.meter
        if meter is None or meter.is_paused:
            return
        given = {**dict(zip(self.names, args, strict=False)), **kwargs}
        if given.get("reduction_override") is not None:
            return
        if meter.only_training and not (loss.training and torch.is_grad_enabled()):
            return
        # Scores, labels and weights have other names in every loss.
        score, label, weight = (given.get(name) for name in [*self.names, "", ""][:3])
        meter.add(loss, score, label, weight)

    def __reduce__(self) -> tuple[type[_Listener], tuple[()]]:
        """Copy and pickle without the meter."""
        return _Listener, ()
