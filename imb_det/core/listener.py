"""What components implement to be told about the data and the course of a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from imb_det.statistics.class_stats import ClassStats

__all__ = ["ClassStatsListener", "Stage", "StageListener"]


@dataclass(frozen=True)
class Stage:
    """A part of a training, in which weights, samplers or losses are of one kind.

    Args:
        name: As the config has it, such as ``'plain'`` or ``'reweighted'``.
        index: Number of the stage, from 0.
        names: Of all stages of the training, in their order.

    Example:
        >>> Stage("reweighted", 1, ("plain", "reweighted")).is_last
        True
    """

    name: str
    index: int
    names: tuple[str, ...]

    @property
    def is_last(self) -> bool:
        """Whether the training ends with this stage."""
        return self.index == len(self.names) - 1


@runtime_checkable
class ClassStatsListener(Protocol):
    """A component that wants the class counts of the training set."""

    def set_class_stats(self, stats: ClassStats) -> None:
        """Take the counts; it may happen more than once, with other counts."""


@runtime_checkable
class StageListener(Protocol):
    """A component that changes with the stage of the training."""

    def set_stage(self, stage: Stage) -> None:
        """Enter a stage; it may happen more than once, also with the same stage."""
