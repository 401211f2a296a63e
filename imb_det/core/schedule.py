"""How long a training is, and where its learning rate steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from mmengine.optim.scheduler.param_scheduler import (
    MultiStepParamScheduler,
    StepParamScheduler,
)
from mmengine.runner import EpochBasedTrainLoop

__all__ = ["Schedule"]


@dataclass(frozen=True)
class Schedule:
    """Length of a training in iterations, and the steps of its learning rate.

    Args:
        iterations: Of the whole training.
        epoch_length: Iterations of an epoch; None where the training counts no epochs.
        lr_steps: Iterations that are over when the learning rate steps, in their order.
    """

    iterations: int
    epoch_length: int | None = None
    lr_steps: tuple[int, ...] = ()

    @classmethod
    def of(cls, loop: Any, schedulers: Any = None) -> Schedule:
        """Read it from the parts of a runner.

        Args:
            loop: Of the training.
            schedulers: Built parameter schedulers: a list, a dict of lists by the name
                of the optimizer, or None.
        """
        with_epochs = isinstance(loop, EpochBasedTrainLoop)
        length = len(loop.dataloader) if with_epochs else None
        if isinstance(schedulers, Mapping):
            schedulers = chain.from_iterable(schedulers.values())
        found = set(_steps(schedulers or (), length, loop.max_iters))
        return cls(loop.max_iters, length, tuple(sorted(found)))


def _steps(
    schedulers: Iterable[Any], epoch_length: int | None, iterations: int
) -> Iterator[int]:
    """Yield where schedulers multiply the learning rate, within the training."""
    for scheduler in schedulers:
        steps: Iterable[int]
        if isinstance(scheduler, MultiStepParamScheduler):
            steps = sorted(scheduler.milestones)
        elif isinstance(scheduler, StepParamScheduler):
            size = scheduler.step_size
            steps = range(size, iterations + 1, size)
        else:
            continue
        unit = epoch_length if scheduler.by_epoch else 1
        if scheduler.param_name != "lr" or scheduler.gamma == 1 or unit is None:
            continue
        for step in steps:
            # A scheduler counts from where it begins, and stops before its end.
            at = scheduler.begin + step
            if step > 0 and at < scheduler.end and at * unit < iterations:
                yield at * unit
