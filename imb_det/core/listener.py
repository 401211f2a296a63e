"""What components implement to be told about the data and the course of a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from torch import Tensor

    from imb_det.statistics.class_stats import ClassStats
    from imb_det.statistics.label_table import LabelTable

__all__ = [
    "ClassDifficultyListener",
    "ClassStatsListener",
    "NamedStageListener",
    "PartnerListener",
    "SelfDescribing",
    "Stage",
    "StageListener",
    "StageProgressListener",
    "TrainingMemory",
    "WorkDirListener",
]


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
class ClassDifficultyListener(Protocol):
    """A component that weighs classes by how difficult they are."""

    def set_class_difficulty_weights(self, weights: Tensor) -> None:
        """Take the weights, float32 (C,), mean 1; it happens after every update."""


@runtime_checkable
class PartnerListener(Protocol):
    """A transform that mixes an image with others of its data set."""

    def set_partners(self, table: LabelTable, weights: np.ndarray) -> None:
        """Take the classes and the weights of the n images that it may draw from."""


@runtime_checkable
class StageListener(Protocol):
    """A component that changes with the stage of the training."""

    def set_stage(self, stage: Stage) -> None:
        """Enter a stage; it may happen more than once, also with the same stage."""


@runtime_checkable
class NamedStageListener(StageListener, Protocol):
    """One that is configured for stages by name.

    These must be the stages of ``StageHook``; none, where it goes without.
    """

    stage_names: Sequence[str]


@runtime_checkable
class StageProgressListener(Protocol):
    """A component that changes within a stage, iteration by iteration."""

    def set_stage_progress(self, progress: float) -> None:
        """Take the share of the stage that is over, before every iteration, in [0, 1).

        The stage itself has been told before.
        """


@runtime_checkable
class WorkDirListener(Protocol):
    """A component that writes files, metrics for example."""

    def set_work_dir(self, work_dir: str | Path) -> None:
        """Take the work folder of the run; it may happen more than once."""


@runtime_checkable
class TrainingMemory(Protocol):
    """A module whose checkpoints hold what it has counted in a training."""

    def forget_training(self) -> None:
        """Start anew: the checkpoint, of ``load_from``, is of another training."""


@runtime_checkable
class SelfDescribing(Protocol):
    """A component that can say what it does against imbalance."""

    def in_effect(self) -> tuple[str, str]:
        """Return what it was told, and what it does, once a training has begun.

        Both are a few words; two empty ones where it does nothing by itself.
        """
