"""Which stage a training is in, by its epochs or iterations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from .finding import Finding, Severity
from .listener import Stage
from .schedule import Schedule

__all__ = ["StagePlan"]


@dataclass(frozen=True)
class StagePlan:
    """Names and lengths of the stages of a training.

    Args:
        names: Of the stages, in their order; unique.
        lengths: Epochs or iterations of each; only the last may be None, which means
            up to the end.
        by_epoch: Whether lengths are epochs, else iterations.

    Example:
        >>> plan = StagePlan(("plain", "reweighted"), (8, None), True)
        >>> plan.stage_at(7).name, plan.stage_at(8).name
        ('plain', 'reweighted')
        >>> str(plan)
        "'plain' 8 epochs, 'reweighted' to the end"
    """

    names: tuple[str, ...]
    lengths: tuple[int | None, ...]
    by_epoch: bool

    @property
    def unit(self) -> str:
        """``epochs`` or ``iterations``."""
        return "epochs" if self.by_epoch else "iterations"

    @property
    def begins(self) -> list[int]:
        """Epochs or iterations that are over when each stage begins."""
        return list(accumulate((n or 0 for n in self.lengths[:-1]), initial=0))

    def span_of(self, stage: Stage, schedule: Schedule) -> tuple[int, int]:
        """Return the iterations that are over when a stage begins and ends."""
        unit = (schedule.epoch_length or 1) if self.by_epoch else 1
        ends = [*self.begins[1:], None]
        end = ends[stage.index]
        begin = self.begins[stage.index] * unit
        return begin, schedule.iterations if end is None else end * unit

    def stage_at(self, position: int) -> Stage:
        """Return the stage after so many epochs or iterations."""
        index = sum(begin <= position for begin in self.begins) - 1
        return Stage(self.names[index], index, self.names)

    def findings(self, loop_counts_epochs: bool, end: int) -> Iterator[Finding]:
        """Yield what does not fit the training.

        Args:
            loop_counts_epochs: Whether the training knows epochs.
            end: Its length, in the unit of the plan.
        """
        where = f"stages {self}"
        if self.by_epoch and not loop_counts_epochs and self.lengths != (None,):
            yield Finding(
                "stage_unit",
                Severity.ERROR,
                "the stages count epochs, but the training counts iterations",
                where,
                remedy="Write `iters=` in place of `epochs=` into `stages`",
            )
            return
        late = [
            name
            for name, begin, length in zip(
                self.names, self.begins, self.lengths, strict=True
            )
            if begin >= end or length == 0
        ]
        last = self.lengths[-1]
        total = self.begins[-1] + (last or 0)
        if late or (last is not None and total != end):
            yield Finding(
                "stage_length",
                Severity.ERROR,
                "the stages do not fill the training",
                where,
                f"they take {_count(total, self.unit)}{' and more' * (last is None)}, "
                f"the training has {end}" + f"; {late} would never begin" * bool(late),
                "Change the lengths or `max_epochs` (`max_iters`) of `train_cfg`; the "
                "last stage may have a name alone and then goes on to the end",
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, as written to checkpoints."""
        return {
            "names": list(self.names),
            "lengths": list(self.lengths),
            "by_epoch": self.by_epoch,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> StagePlan:
        """Build from :meth:`to_dict`'s form."""
        names, lengths = tuple(content["names"]), tuple(content["lengths"])
        return cls(names, lengths, content["by_epoch"])

    def __str__(self) -> str:
        return ", ".join(
            f"{name!r} " + ("to the end" if n is None else _count(n, self.unit))
            for name, n in zip(self.names, self.lengths, strict=True)
        )


def _count(number: int, unit: str) -> str:
    return f"{number} {unit.removesuffix('s') if number == 1 else unit}"
