"""Listens to the classification losses of a model."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn

from imb_det.losses.layer_calls import watch_layers

__all__ = ["LossMeter", "class_losses"]


def class_losses(model: nn.Module, num_classes: int) -> dict[str, nn.Module]:
    """Find the losses ``loss_cls`` of the heads for ``num_classes`` classes.

    That leaves region proposal networks out. A loss that heads share is listed once.

    Raises:
        ValueError: There is none; names the heads that were passed over.
    """
    watch_layers(model)
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


class LossMeter:
    """Sums something over the rows of loss calls.

    Calls with ``reduction_override`` are left out: they are made by samplers that look
    for hard examples, on rows that are then passed again. Of heads of queries the last
    decoder layer alone counts.

    Args:
        losses: Losses to listen to.
        shape: Of the sums.
        only_training: Whether to leave out what is no training step: calls without
            gradient, or of a loss in evaluation mode.

    Attributes:
        total: Sums of all ranks, float64 of that shape.
        is_paused: Whether calls do not count for now.
    """

    def __init__(
        self,
        losses: Mapping[str, nn.Module],
        shape: tuple[int, ...],
        only_training: bool,
    ) -> None:
        self.losses = losses
        self.only_training = only_training
        self.is_paused = False
        self.total: np.ndarray = np.zeros(shape)
        self._local = torch.zeros(shape, dtype=torch.float64)

    def measure(self, loss: nn.Module, score: Any, label: Any, weight: Any) -> None:
        """Add what a call shows to the sums of this rank; see :meth:`local`."""
        raise NotImplementedError

    def local(self, like: Tensor) -> Tensor:
        """Return the sums of this rank since the last :meth:`collect`, to add to.

        Args:
            like: A tensor of the device where they are to be.
        """
        if self._local.device != like.device:
            self._local = self._local.to(like.device)
        return self._local

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


class _Listener:
    """Hook on the calls of a loss.

    Models are copied and saved with their hooks. A copy of this one is deaf: what a
    copy of the model computes does not count.
    """

    def __init__(self, meter: LossMeter | None = None, *names: str) -> None:
        self.meter = meter
        self.names = names  # of the arguments of the loss

    def __call__(self, loss: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        meter = self.meter
        if meter is None or meter.is_paused:
            return
        given = {**dict(zip(self.names, args, strict=False)), **kwargs}
        if given.get("reduction_override") is not None:
            return
        calls = getattr(loss, "layer_calls", None)
        if calls is not None and not calls.counts:
            return
        if meter.only_training and not (loss.training and torch.is_grad_enabled()):
            return
        # Scores, labels and weights have other names in every loss.
        score, label, weight = (given.get(name) for name in [*self.names, "", ""][:3])
        meter.measure(loss, score, label, weight)

    def __reduce__(self) -> tuple[type[_Listener], tuple[()]]:
        """Copy and pickle without the meter."""
        return _Listener, ()
