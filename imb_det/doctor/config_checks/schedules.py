"""The schedule of a training against its length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.runner import EpochBasedTrainLoop

from imb_det.core.finding import Finding, Severity
from imb_det.doctor.context import DoctorContext

__all__ = ["check_schedule", "check_validation"]

#: Schedulers that raise or hold the rate, at the start as a rule.
_WARM_UP = ("LinearParamScheduler", "ConstantParamScheduler")
#: Those that come down to their last value at `end`.
_TO_AN_END = ("CosineAnnealingParamScheduler", "PolyParamScheduler")
#: Shares of the training before and after which an end is far from its own.
_EARLY, _LATE = 0.8, 1.25
#: Times the training from which on a number of epochs is one of iterations.
_MANY = 4
#: What mmengine has for no end, nearly.
_NO_END = 10**8


def check_validation(context: DoctorContext) -> Iterator[Finding]:
    """Find a validation that never comes.

    Args:
        context: Of a training.
    """
    loop = context.train_loop
    if loop is None or context.val_loop is None:
        return
    end, unit = _length(loop)
    steps = [loop.val_interval, *loop.dynamic_intervals]
    if min(steps) > end or loop.val_begin > end:
        yield Finding(
            "no_validation",
            Severity.WARNING,
            "the training ends before its first validation",
            "`train_cfg`",
            f"val_interval={loop.val_interval}, val_begin={loop.val_begin}, and {end} "
            f"{unit}",
            f"Write `train_cfg=dict(val_interval={max(1, end // 12)})`",
        )


def check_schedule(context: DoctorContext) -> Iterator[Finding]:
    """Find schedulers that end long before or after the training, or in another unit.

    Args:
        context: Of a training, with built schedulers.
    """
    loop, schedulers = context.train_loop, context.param_schedulers
    if loop is None or not isinstance(schedulers, (list, tuple)):
        return
    given = context.config.get("param_scheduler")
    configs = list(given) if isinstance(given, (list, tuple)) else [given]
    if len(configs) != len(schedulers):
        configs = [{}] * len(schedulers)
    parts = []
    for index, scheduler in enumerate(schedulers):
        config = configs[index] or {}
        kind = config.get("type", type(scheduler))
        name = kind if isinstance(kind, str) else kind.__name__
        place = f"`param_scheduler[{index}]` ({name})"
        parts.append(_Part(scheduler, config, loop, place))
    for part in parts:
        yield from _unit(part) or _end(part, parts)


class _Part:
    """One scheduler, beside the length of the training in the unit it counts in."""

    def __init__(self, scheduler: Any, config: Any, loop: Any, place: str) -> None:
        self.config, self.loop, self.place = config, loop, place
        self.by_epoch = scheduler.by_epoch
        self.counts_epochs = isinstance(loop, EpochBasedTrainLoop)
        of_epochs = self.by_epoch and self.counts_epochs
        self.total: int = loop.max_epochs if of_epochs else loop.max_iters
        self.unit = "epochs" if self.by_epoch else "iterations"
        kinds = {kind.__name__ for kind in type(scheduler).__mro__}
        self.warms_up = bool(kinds & set(_WARM_UP))
        self.comes_down = bool(kinds & set(_TO_AN_END))
        self.milestones = sorted(getattr(scheduler, "milestones", {}))
        self.begin = scheduler.begin
        self.end: int | None = scheduler.end if scheduler.end < _NO_END else None
        #: Where it moves for the last time, as far as it is said.
        self.latest = self.milestones[-1] if self.milestones else self.end

    def finding(self, code: str, what: str, evidence: str, remedy: str) -> Finding:
        """Return a warning about this scheduler."""
        return Finding(code, Severity.WARNING, what, self.place, evidence, remedy)


def _unit(part: _Part) -> list[Finding]:
    """Return that a scheduler counts something else than is meant, or nothing."""
    latest, total = part.latest, part.total
    if part.by_epoch and not part.counts_epochs:
        return [
            part.finding(
                "scheduler_unit",
                "a schedule by epochs never moves in a training that counts iterations",
                f"by_epoch=True, and {part.loop.max_iters} iterations",
                "Write `by_epoch=False`, and all its numbers in iterations",
            )
        ]
    if latest is None or not part.counts_epochs:
        return []
    too_late = total < latest <= part.loop.max_iters
    if part.by_epoch and too_late and (part.warms_up or latest > _MANY * total):
        return [
            part.finding(
                "scheduler_unit",
                "a schedule seems to count iterations, and is counted in epochs",
                f"by_epoch=True, and it goes to {latest}, of {total} epochs",
                "Write `by_epoch=False`",
            )
        ]
    plain = not part.warms_up and not part.config.get("convert_to_iter_based")
    if not part.by_epoch and plain and latest <= part.loop.max_epochs < total / 2:
        return [
            part.finding(
                "scheduler_unit",
                "a schedule seems to count epochs, and is counted in iterations",
                f"by_epoch=False, and it is over after {latest} of {total} iterations, "
                f"in {part.loop.max_epochs} epochs",
                "Write `by_epoch=True`",
            )
        ]
    return []


def _end(part: _Part, parts: Sequence[_Part]) -> Iterator[Finding]:
    """Yield that a scheduler ends, or begins, far from where the training does."""
    total, end = part.total, part.end
    first = part.milestones[0] if part.milestones else part.begin
    evidence = f"end={end}, of {total} {part.unit}"
    if first >= total:
        yield part.finding(
            "scheduler_end",
            "a schedule begins after the end of the training",
            f"it begins at {first}, of {total} {part.unit}",
            f"Write `begin`, `end` and `milestones` below {total}",
        )
    elif end is None:
        return
    elif part.warms_up and end > total and part.begin == 0:
        yield part.finding(
            "scheduler_end",
            "a warm-up is longer than the training",
            evidence,
            f"Write `end={max(1, total // 20)}`",
        )
    elif part.comes_down and end > _LATE * total:
        yield part.finding(
            "scheduler_end",
            "the training ends long before its schedule, at a high rate",
            evidence,
            _to_the_end(part),
        )
    elif (
        part.comes_down
        and end < _EARLY * total
        and not any(p.begin / p.total >= end / total for p in parts)
    ):
        yield part.finding(
            "scheduler_end",
            "a schedule ends long before the training, which goes on with its last "
            "rate",
            evidence,
            _to_the_end(part),
        )


def _to_the_end(part: _Part) -> str:
    """Return the line that lets a schedule end with the training."""
    by_epoch = part.config.get("by_epoch", True) and part.counts_epochs
    end = part.loop.max_epochs if by_epoch else part.loop.max_iters
    begin = part.config.get("begin", 0)
    more = f" and `T_max={end - begin}`" * ("T_max" in part.config)
    return f"Write `end={end}`{more}"


def _length(loop: Any) -> tuple[int, str]:
    if isinstance(loop, EpochBasedTrainLoop):
        return loop.max_epochs, "epochs"
    return loop.max_iters, "iterations"
