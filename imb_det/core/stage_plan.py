"""Which stage a training is in, by its epochs or iterations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from .finding import Finding, Severity
from .listener import Stage

__all__ = ["StagePlan"]

_EXAMPLE = "stages=[dict(name='plain', epochs=8), dict(name='reweighted', epochs=4)]"


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

    @classmethod
    def from_config(cls, owner: str, stages: Any) -> StagePlan:
        """Read the argument ``stages`` of a hook.

        Args:
            owner: Name of the hook, for messages.
            stages: ``dict(name=..., epochs=...)`` or ``dict(name=..., iters=...)`` for
                each stage; the last may have a name alone.

        Raises:
            TypeError: No sequence of dicts, a name that is no text, a length that is
                no whole number.
            ValueError: No stage, a name that stands twice, a length below 1, a stage
                before the last without one, epochs and iterations in one plan, or
                other keys.
        """
        if not isinstance(stages, Sequence) or isinstance(stages, str):
            raise TypeError(
                f"{owner}: `stages` must be a list such as `{_EXAMPLE}`, got {stages!r}"
            )
        if not stages:
            raise ValueError(f"{owner}: `stages` is empty; write `{_EXAMPLE}`")
        names: list[str] = []
        lengths: list[int | None] = []
        units = set()
        for number, stage in enumerate(stages):
            where = f"{owner}: `stages[{number}]`"
            name, unit, length = _read_stage(where, stage)
            if name in names:
                raise ValueError(f"{where} has the name {name!r} of another stage")
            if length is None and number < len(stages) - 1:
                raise ValueError(
                    f"{where} ({name!r}) needs `epochs` or `iters`: only the last "
                    "stage may go on to the end"
                )
            names.append(name)
            lengths.append(length)
            units |= {unit} - {None}
        if len(units) > 1:
            raise ValueError(
                f"{owner}: `stages` count epochs and iterations; use one of them"
            )
        return cls(tuple(names), tuple(lengths), units != {"iters"})

    @property
    def unit(self) -> str:
        """``epochs`` or ``iterations``."""
        return "epochs" if self.by_epoch else "iterations"

    @property
    def begins(self) -> list[int]:
        """Epochs or iterations that are over when each stage begins."""
        return list(accumulate((n or 0 for n in self.lengths[:-1]), initial=0))

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
        late = [n for n, b in zip(self.names, self.begins, strict=True) if b >= end]
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


def _read_stage(where: str, stage: Any) -> tuple[str, str | None, int | None]:
    """Return name, ``epochs`` or ``iters``, and length of an entry, checked."""
    if not isinstance(stage, Mapping):
        raise TypeError(f"{where} must be a dict, got {stage!r}")
    if unknown := sorted(set(stage) - {"name", "epochs", "iters"}, key=str):
        raise ValueError(
            f"{where} has the keys {unknown}, but only `name`, `epochs` and `iters` "
            "are known"
        )
    name = stage.get("name")
    if not isinstance(name, str) or not name:
        raise TypeError(f"{where} needs a `name`, a text, got {name!r}")
    if "epochs" in stage and "iters" in stage:
        raise ValueError(f"{where} has both `epochs` and `iters`; give one")
    unit = next((key for key in ("epochs", "iters") if key in stage), None)
    if unit is None:
        return name, None, None
    length = stage[unit]
    if isinstance(length, bool) or not isinstance(length, int):
        raise TypeError(f"{where}: `{unit}` must be a whole number, got {length!r}")
    if length < 1:
        raise ValueError(f"{where}: `{unit}` must be >= 1, got {length}")
    return name, unit, length
