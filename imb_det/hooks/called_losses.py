"""Losses that a head never calls."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log
from torch import nn

from imb_det.losses import ImbalanceLoss, ToldInstances

__all__ = ["CalledLosses", "untrained_parts"]

_ITERATIONS = 20
_LOSSES = (ImbalanceLoss, ToldInstances)


def untrained_parts(model: nn.Module) -> set[int]:
    """Return the ``id`` of the parts of what has weights and trains none: a teacher."""
    found: set[int] = set()
    for module in model.modules():
        weights = list(module.parameters())
        if weights and not any(weight.requires_grad for weight in weights):
            found |= {id(part) for part in module.modules()}
    return found


class CalledLosses:
    """Watches the losses of the library in the first iterations of a training.

    A loss that a head reads from its config and never calls has options without effect.
    Detectors that are not trained, such as a teacher, call none.

    Args:
        model: That is trained.
        places: Where its modules are, by ``id``, for messages.
    """

    def __init__(self, model: nn.Module, places: Mapping[int, str]) -> None:
        passed_over = {
            id(part)
            for module in model.modules()
            if isinstance(module, _LOSSES)
            for part in module.modules()
            if part is not module
        }
        passed_over |= untrained_parts(model)
        self._left = {
            part
            for part in model.modules()
            if isinstance(part, _LOSSES) and id(part) not in passed_over
        }
        self._places, self._iterations = places, 0
        self._handles = [
            loss.register_forward_pre_hook(self._called) for loss in self._left
        ]

    def _called(self, loss: nn.Module, arguments: Any) -> None:
        self._left.discard(loss)

    def iteration_is_over(self) -> None:
        """Warn, after some iterations, of those that nobody has called."""
        if not self._handles:
            return
        self._iterations += 1
        if self._left and self._iterations < _ITERATIONS:
            return
        for handle in self._handles:
            handle.remove()
        self._handles = []
        for loss in self._left:
            place = self._places.get(id(loss), "a head")
            print_log(
                f"{place} ({type(loss).__name__}) was not called in the first "
                f"{_ITERATIONS} iterations: as long as its head does not call it, it "
                "and its options have no effect",
                logger="current",
                level=logging.WARNING,
            )
