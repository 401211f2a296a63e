"""The stages of a training as a config gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from .checks import check_number
from .finding import Finding, Severity
from .schedule import Schedule
from .stage_plan import StagePlan

__all__ = ["StageLengths"]

_EXAMPLE = "stages=[dict(name='plain', epochs=8), dict(name='reweighted', epochs=4)]"
_UNITS = ("epochs", "iters", "share", "until")
_LR_STEP = "lr_step"


@dataclass(frozen=True)
class StageLengths:
    """Names of the stages of a training, and how long each is to last.

    Args:
        names: Of the stages, in their order; unique.
        unit: Of the lengths: ``'epochs'``, ``'iters'``, ``'share'`` of the training, or
            ``'until'``; None for a single stage.
        lengths: Of the stages, ``'lr_step'`` with ``'until'``; only the last may be
            None, which means up to the end.

    Example:
        >>> stages = [dict(name="plain", share=0.8), dict(name="reweighted")]
        >>> lengths = StageLengths.from_config("StageHook", stages)
        >>> str(lengths.plan(Schedule(iterations=1200, epoch_length=100)))
        "'plain' 960 iterations, 'reweighted' to the end"
    """

    names: tuple[str, ...]
    unit: str | None
    lengths: tuple[Any, ...]

    @classmethod
    def from_config(cls, owner: str, stages: Any) -> StageLengths:
        """Read the argument ``stages`` of a hook.

        Args:
            owner: Name of the hook, for messages.
            stages: ``dict(name=..., epochs=...)``, ``dict(name=..., iters=...)``,
                ``dict(name=..., share=...)`` or ``dict(name=..., until='lr_step')`` for
                each stage; the last may have a name alone.

        Raises:
            TypeError: No sequence of dicts, a name that is no text, a length that is
                no number.
            ValueError: No stage, a name that stands twice, a length out of range, a
                stage before the last without one, lengths of several kinds, shares
                that do not add up, or other keys.
        """
        if not isinstance(stages, Sequence) or isinstance(stages, str):
            raise TypeError(
                f"{owner}: `stages` must be a list such as `{_EXAMPLE}`, got {stages!r}"
            )
        if not stages:
            raise ValueError(f"{owner}: `stages` is empty; write `{_EXAMPLE}`")
        names: list[str] = []
        lengths: list[Any] = []
        units: dict[str, None] = {}
        for number, stage in enumerate(stages):
            where, is_last = f"{owner}: `stages[{number}]`", number == len(stages) - 1
            name, unit, length = _read_stage(where, stage)
            if name in names:
                raise ValueError(f"{where} has the name {name!r} of another stage")
            if unit is None and not is_last:
                raise ValueError(
                    f"{where} ({name!r}) needs `epochs`, `iters`, `share` or `until`: "
                    "only the last stage may go on to the end"
                )
            if unit == "until" and is_last:
                raise ValueError(
                    f"{where} ({name!r}) is the last stage, which goes on to the end: "
                    "leave `until` out"
                )
            names.append(name)
            lengths.append(length)
            units.update({unit: None} if unit else {})
        if len(units) > 1:
            words = {"iters": "iterations", "share": "shares", "until": "steps"}
            kinds = " and ".join(words.get(unit, unit) for unit in units)
            raise ValueError(f"{owner}: `stages` count {kinds}; use one of them")
        unit = next(iter(units), None)
        if unit == "share":
            _check_shares(owner, lengths)
        return cls(tuple(names), unit, tuple(lengths))

    def findings(self, schedule: Schedule) -> Iterator[Finding]:
        """Yield what does not fit a training."""
        missing = len(self.lengths) - 1 - len(schedule.lr_steps)
        if self.unit == "until" and missing > 0:
            found = len(schedule.lr_steps)
            yield Finding(
                "stage_lr_step",
                Severity.ERROR,
                "stages last until the learning rate steps, and it does not so often",
                f"stages {self}",
                f"steps by `MultiStepLR` or `StepLR` within the training: {found}, "
                f"and needed: {len(self.lengths) - 1}",
                "Give `share=0.8` (of the training), `epochs=` or `iters=` in place of "
                "`until='lr_step'`, or add `dict(type='MultiStepLR', by_epoch=True, "
                "milestones=[8, 11], gamma=0.1)` to `param_scheduler`",
            )
            return
        with_epochs = schedule.epoch_length is not None
        plan = self.plan(schedule)
        end = schedule.iterations
        if plan.by_epoch and schedule.epoch_length is not None:
            end //= schedule.epoch_length
        yield from plan.findings(with_epochs, end)

    def plan(self, schedule: Schedule) -> StagePlan:
        """Return the epochs or iterations of each stage in a training.

        Shares become iterations, the nearest number; they, and steps of the learning
        rate, become epochs where all of them fall between epochs.

        Args:
            schedule: Of the training; it must have the steps that are asked for.
        """
        if self.unit not in ("share", "until"):
            return StagePlan(self.names, self.lengths, self.unit != "iters")
        begins = list(schedule.lr_steps[: len(self.lengths) - 1])
        if self.unit == "share":
            ends = accumulate(self.lengths[:-1])
            begins = [round(share * schedule.iterations) for share in ends]
        epoch = schedule.epoch_length
        by_epoch = epoch is not None and all(begin % epoch == 0 for begin in begins)
        lengths = [after - before for before, after in pairwise([0, *begins])]
        if by_epoch and epoch is not None:
            lengths = [length // epoch for length in lengths]
        return StagePlan(self.names, (*lengths, None), by_epoch)

    def __str__(self) -> str:
        words: dict[str | None, Callable[[Any], str]] = {
            "share": lambda share: f"a share of {share:g}",
            "until": lambda _: "until a step of the learning rate",
        }
        say = words.get(self.unit, lambda length: f"{length} {self.unit}")
        return ", ".join(
            f"{name!r} " + ("to the end" if length is None else say(length))
            for name, length in zip(self.names, self.lengths, strict=True)
        )


def _read_stage(where: str, stage: Any) -> tuple[str, str | None, Any]:
    """Return name, kind of length, and length of an entry, checked."""
    if not isinstance(stage, Mapping):
        raise TypeError(f"{where} must be a dict, got {stage!r}")
    if unknown := sorted(set(stage) - {"name", *_UNITS}, key=str):
        raise ValueError(
            f"{where} has the keys {unknown}, but only `name`, `epochs`, `iters`, "
            "`share` and `until` are known"
        )
    name = stage.get("name")
    if not isinstance(name, str) or not name:
        raise TypeError(f"{where} needs a `name`, a text, got {name!r}")
    units = [unit for unit in _UNITS if unit in stage]
    if len(units) > 1:
        both = " and ".join(f"`{unit}`" for unit in units)
        raise ValueError(f"{where} has both {both}; give one")
    if not units:
        return name, None, None
    (unit,) = units
    length = stage[unit]
    if unit == "until":
        if length != _LR_STEP:
            raise ValueError(f"{where}: `until` must be {_LR_STEP!r}, got {length!r}")
    elif unit == "share":
        check_number(where, unit, length, 0, 1, open_ends=True)
    elif isinstance(length, bool) or not isinstance(length, int):
        raise TypeError(f"{where}: `{unit}` must be a whole number, got {length!r}")
    elif length < 1:
        raise ValueError(f"{where}: `{unit}` must be >= 1, got {length}")
    return name, unit, length


def _check_shares(owner: str, shares: list[float | None]) -> None:
    """Refuse shares of more or less than the whole training."""
    total = sum(share or 0 for share in shares)
    if shares[-1] is None and total >= 1:
        raise ValueError(
            f"{owner}: `stages` have shares of {total:g} before the last stage, which "
            "has no time left; they must be less than 1"
        )
    if shares[-1] is not None and abs(total - 1) > 1e-6:
        raise ValueError(
            f"{owner}: the shares of `stages` add up to {total:g} and not to 1; the "
            "last stage may have a name alone and then goes on to the end"
        )
