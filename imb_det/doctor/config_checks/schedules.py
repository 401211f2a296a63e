"""The schedule of a training against its length."""

from __future__ import annotations

from collections.abc import Iterator
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
_PLACE = "`param_scheduler[{}]` ({})"


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
    same = len(configs) == len(schedulers)
    for index, scheduler in enumerate(schedulers):
        config = configs[index] if same else {}
        place = _PLACE.format(index, _name(scheduler, config))
        followed = any(other.begin >= scheduler.end for other in schedulers)
        yield from _of_scheduler(scheduler, config or {}, loop, place, followed)


def _name(scheduler: Any, config: Any) -> str:
    kind = (config or {}).get("type", type(scheduler))
    return kind if isinstance(kind, str) else kind.__name__


def _of_scheduler(
    scheduler: Any, config: Any, loop: Any, place: str, followed: bool
) -> Iterator[Finding]:
    """Compare one scheduler with the length of the training in its own unit."""
    kinds = {kind.__name__ for kind in type(scheduler).__mro__}
    by_epoch = scheduler.by_epoch
    counts_epochs = isinstance(loop, EpochBasedTrainLoop)
    if by_epoch and not counts_epochs:
        yield _finding(
            "scheduler_unit",
            "a schedule by epochs, in a training that counts iterations: it never moves",
            place,
            f"by_epoch=True, and {loop.max_iters} iterations",
            "Write `by_epoch=False`, with `begin`, `end` and `milestones` in iterations",
        )
        return
    total = loop.max_epochs if by_epoch else loop.max_iters
    unit = "epochs" if by_epoch else "iterations"
    begin, end = scheduler.begin, scheduler.end
    ends = end < 10**8  # mmengine's INF is 10^9
    warms_up = bool(kinds & set(_WARM_UP))
    milestones = sorted(getattr(scheduler, "milestones", {}))
    latest = milestones[-1] if milestones else (end if ends else None)
    if by_epoch and latest is not None and total < latest <= loop.max_iters:
        if warms_up or latest > 4 * total:
            yield _finding(
                "scheduler_unit",
                "a schedule seems to count iterations, and is counted in epochs",
                place,
                f"by_epoch=True, and it goes to {latest}, of {total} epochs",
                "Write `by_epoch=False`",
            )
            return
    converted = bool(config.get("convert_to_iter_based"))
    if counts_epochs and not by_epoch and not warms_up and not converted:
        if latest is not None and latest <= loop.max_epochs < loop.max_iters / 2:
            yield _finding(
                "scheduler_unit",
                "a schedule seems to count epochs, and is counted in iterations",
                place,
                f"by_epoch=False, and it is over after {latest} of {total} iterations, "
                f"in {loop.max_epochs} epochs",
                "Write `by_epoch=True`",
            )
            return
    if begin >= total or (milestones and milestones[0] >= total):
        first = milestones[0] if milestones else begin
        yield _finding(
            "scheduler_end",
            "a schedule begins after the end of the training",
            place,
            f"it begins at {first}, of {total} {unit}",
            f"Write `begin`, `end` and `milestones` below {total}",
        )
    elif ends and kinds & set(_TO_AN_END):
        if end < _EARLY * total and not followed:
            yield _finding(
                "scheduler_end",
                "a schedule ends long before the training, which goes on with its last "
                "rate",
                place,
                f"end={end}, of {total} {unit}",
                _to_the_end(config, loop),
            )
        elif end > _LATE * total:
            yield _finding(
                "scheduler_end",
                "the training ends long before its schedule, at a high rate",
                place,
                f"end={end}, of {total} {unit}",
                _to_the_end(config, loop),
            )
    elif warms_up and ends and end > total and getattr(scheduler, "begin", 0) == 0:
        yield _finding(
            "scheduler_end",
            "a warm-up is longer than the training",
            place,
            f"end={end}, of {total} {unit}",
            f"Write `end={max(1, total // 20)}`",
        )


def _to_the_end(config: Any, loop: Any) -> str:
    """Return the line that lets a schedule end with the training."""
    end, _ = _length(loop) if config.get("by_epoch", True) else (loop.max_iters, "")
    more = f" and `T_max={end - config.get('begin', 0)}`" * ("T_max" in config)
    return f"Write `end={end}`{more}"


def _length(loop: Any) -> tuple[int, str]:
    if isinstance(loop, EpochBasedTrainLoop):
        return loop.max_epochs, "epochs"
    return loop.max_iters, "iterations"


def _finding(code: str, what: str, place: str, evidence: str, remedy: str) -> Finding:
    return Finding(code, Severity.WARNING, what, place, evidence, remedy)
