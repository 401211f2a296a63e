"""What must hold before the difficulty of classes can be measured."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from mmdet.evaluation import CocoPanopticMetric, VOCMetric
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn

from imb_det.core import is_number
from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity
from imb_det.core.listener import ClassDifficultyListener
from imb_det.runner_parts import components_of
from imb_det.statistics import ClassStats

from .class_difficulty import DYNAMIC_TAUS
from .held_out import check_held_out
from .loss_meter import class_losses

__all__ = [
    "check_arguments",
    "check_counts",
    "listeners_of",
    "start_findings",
    "was_validated",
]

#: Of a panoptic set, difficulty is that of its things and its stuff.
_HEADS = (
    "Use a head of all classes, such as `imb_det.Mask2FormerHead`, or weights by a "
    "rule, as in `imb_det.CrossEntropyLoss`, in place of imb_det.CDBLoss"
)
_SOURCES = ("recall", "ap", "score")


def check_arguments(
    source: str,
    held_out: Any,
    tau: float | str,
    momentum: float,
    max_ratio: float | None,
    warmup: int,
    interval: int,
    by_epoch: bool,
    background_is_error: bool,
) -> None:
    """Check the arguments of ``ClassDifficultyHook``.

    Raises:
        ValueError, TypeError: Names the argument, what was given and what is valid.
    """
    name = "ClassDifficultyHook"
    if source not in _SOURCES:
        raise ValueError(f"{name}: `source` must be one of {_SOURCES}, got {source!r}")
    flags: dict[str, Any] = dict(
        by_epoch=by_epoch, background_is_error=background_is_error
    )
    for key, value in flags.items():
        if not isinstance(value, bool):
            raise TypeError(f"{name}: `{key}` must be a bool, got {value!r}")
    if source == "recall":
        check_held_out(name, held_out, "`source='recall'`")
    for key, is_given in dict(
        held_out=held_out is not None, background_is_error=background_is_error
    ).items():
        if is_given and source != "recall":
            raise ValueError(
                f"{name}: `{key}` has a meaning only with `source='recall'`, got "
                f"source={source!r}"
            )
    is_exponent = is_number(tau) and 0 <= float(tau) < math.inf
    if not (is_exponent or (isinstance(tau, str) and tau in DYNAMIC_TAUS)):
        raise ValueError(
            f"{name}: `tau` must be one of {tuple(DYNAMIC_TAUS)} or a number >= 0, got "
            f"{tau!r}"
        )
    if not (is_number(momentum) and 0 <= momentum < 1):
        raise ValueError(f"{name}: `momentum` must be in [0, 1), got {momentum!r}")
    if max_ratio is not None and not (is_number(max_ratio) and max_ratio >= 1):
        raise ValueError(
            f"{name}: `max_ratio` must be None or at least 1, got {max_ratio!r}"
        )
    counts: tuple[tuple[str, Any, int], ...] = (
        ("warmup", warmup, 0),
        ("interval", interval, 1),
    )
    for key, count, least in counts:
        if isinstance(count, bool) or not isinstance(count, int) or count < least:
            raise ValueError(
                f"{name}: `{key}` must be a whole number of at least {least}, got "
                f"{count!r}"
            )


def listeners_of(runner: Runner) -> list[ClassDifficultyListener]:
    """List what takes weights: parts of the model, training samplers and hooks."""
    return list(filter(_listens, components_of(runner, for_training=True)))


def _listens(component: Any) -> bool:
    return isinstance(component, ClassDifficultyListener)


def check_counts(
    stats: ClassStats | None, owner: str = "ClassDifficultyHook"
) -> ClassStats:
    """Return the counts of the training set, if they were handed over.

    Args:
        stats: Counts, or None.
        owner: Name of the hook that needs them. Default ``'ClassDifficultyHook'``.

    Raises:
        RuntimeError: There are no counts; names the hook that is missing.
    """
    if stats is None:
        raise RuntimeError(
            f"{owner} has no counts of the training set: add "
            "`dict(type='imb_det.ImbalanceHook')` to the config, as in "
            "`custom_hooks = [dict(type='imb_det.ImbalanceHook'), "
            f"dict(type='imb_det.{owner}', ...)]`"
        )
    return stats


def start_findings(
    context: CheckContext, source: str, by_epoch: bool
) -> Iterator[Finding]:
    """Find a training that never brings an update, or in which nothing takes weights.

    Args:
        context: Of a training.
        source: What accuracy is measured by.
        by_epoch: Whether updates are counted in epochs.
    """
    loop = context.train_loop

    def found(evidence: str, remedy: str) -> Finding:
        what = "class difficulty cannot be measured and used"
        where = f"ClassDifficultyHook (source={source!r})"
        return Finding(
            "class_difficulty", Severity.ERROR, what, where, evidence, remedy
        )

    if not any(map(_listens, context.components)):
        yield found(
            "no component takes class difficulty",
            "Use imb_det.CDBLoss as `loss_cls` of a head, or a sampler or hook with a "
            "method `set_class_difficulty_weights`, or remove ClassDifficultyHook",
        )
    if context.model is not None and context.class_stats is not None:
        stats = context.class_stats
        for place in _of_things(context.model, stats):
            yield found(
                f"it weighs {stats.num_classes} classes, things and stuff, and {place} "
                f"is of {len(stats.thing_classes)} things",
                _HEADS,
            )
        if source != "ap":
            try:
                class_losses(context.model, stats.num_classes)
            except ValueError as error:
                yield found(str(error), _HEADS)
    with_epochs = isinstance(loop, EpochBasedTrainLoop)
    if by_epoch and not with_epochs:
        yield found(
            f"it counts epochs, but {type(loop).__name__} counts iterations",
            "Set `by_epoch=False`, and `interval` and `warmup` to numbers of "
            "iterations",
        )
    if source != "ap":
        return
    if context.val_loop is None:
        yield found(
            "it reads the validation, but there is none",
            "Add `val_dataloader`, `val_evaluator` (with `classwise=True`) and "
            "`val_cfg`, or use another `source`",
        )
        return
    end = loop.max_epochs if with_epochs else loop.max_iters
    first = max(loop.val_begin, min([loop.val_interval, *loop.dynamic_intervals]))
    if first > end:
        yield found(
            f"it reads the validation, but the first one is after {first} of {end} "
            "epochs or iterations",
            "Lower `val_interval` and `val_begin` in `train_cfg`",
        )
    by_class = [
        getattr(metric, "classwise", False)
        and not isinstance(metric, CocoPanopticMetric)  # which has PQ alone
        for metric in context.metrics.get("val", ())
        if hasattr(metric, "classwise") or isinstance(metric, VOCMetric)
    ]
    if by_class and not any(by_class):
        yield found(
            "the validation gives no average precision by class",
            "Set `classwise=True` in `val_evaluator`: `CocoMetric` has it, and judges "
            "any data set",
        )


def _of_things(model: nn.Module, stats: ClassStats) -> Iterator[str]:
    """Yield losses that take the weights of all classes, in heads of things alone."""
    things = len(stats.thing_classes)
    if things == stats.num_classes:
        return
    for name, head in model.named_modules():
        if things and getattr(head, "num_classes", None) == things:
            for attribute, loss in head.named_children():
                if _listens(loss):
                    yield f"{type(loss).__name__} of `{name}.{attribute}`"


def was_validated(runner: Runner) -> bool:
    """Tell whether a validation followed the point from which training resumes."""
    loop = runner.train_loop
    done = loop.epoch if isinstance(loop, EpochBasedTrainLoop) else loop.iter
    loop._decide_current_val_interval()  # as the loop itself before it validates
    return done >= loop.val_begin and done % loop.val_interval == 0
