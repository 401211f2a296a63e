"""What must hold before the difficulty of classes can be measured."""

from __future__ import annotations

import math
from typing import Any

from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from imb_det.core import NUMBERS
from imb_det.statistics import ClassStats

from .runner_parts import parts_of, train_parts_of

__all__ = ["check_arguments", "check_start", "takers_of", "was_validated"]

_SOURCES = ("recall", "ap", "score")
_HOW_TO_HOLD_OUT = (
    "Hold images out of the training set: of 1500, give the data set of "
    "`train_dataloader` `indices=list(range(0, 1350))`, and this hook "
    "`held_out=dict(batch_size=2, num_workers=2, dataset=dict(<the same data set>, "
    "indices=list(range(1350, 1500))))`"
)


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
    if source == "recall" and held_out is None:
        raise ValueError(
            f"{name}: `source='recall'` needs `held_out`, the data loader of images "
            f"that are not trained on. {_HOW_TO_HOLD_OUT}"
        )
    for key, is_given in dict(
        held_out=held_out is not None, background_is_error=background_is_error
    ).items():
        if is_given and source != "recall":
            raise ValueError(
                f"{name}: `{key}` has a meaning only with `source='recall'`, got "
                f"source={source!r}"
            )
    if held_out is not None and not isinstance(held_out, (dict, DataLoader)):
        raise TypeError(
            f"{name}: `held_out` must be the config of a data loader, got "
            f"{type(held_out).__name__}"
        )
    if isinstance(held_out, dict) and "dataset" not in held_out:
        raise ValueError(
            f"{name}: `held_out` has no `dataset`, only {list(held_out)}. "
            f"{_HOW_TO_HOLD_OUT}"
        )
    if tau != "dynamic" and (
        isinstance(tau, str) or not (_is_number(tau) and 0 <= tau < math.inf)
    ):
        raise ValueError(
            f"{name}: `tau` must be 'dynamic' or a number >= 0, got {tau!r}"
        )
    if not (_is_number(momentum) and 0 <= momentum < 1):
        raise ValueError(f"{name}: `momentum` must be in [0, 1), got {momentum!r}")
    if max_ratio is not None and not (_is_number(max_ratio) and max_ratio >= 1):
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


def _is_number(value: Any) -> bool:
    return isinstance(value, NUMBERS) and not isinstance(value, bool)


def takers_of(runner: Runner) -> list[Any]:
    """List what takes weights: parts of the model, training samplers and hooks.

    Raises:
        ValueError: Nothing does; names what could.
    """
    takers: list[Any] = []
    for candidate in [*parts_of(runner), *train_parts_of(runner)]:
        is_known = any(candidate is taker for taker in takers)
        if hasattr(candidate, "set_class_difficulty_weights") and not is_known:
            takers.append(candidate)
    if not takers:
        raise ValueError(
            "no component takes class difficulty: use imb_det.CDBLoss as `loss_cls` "
            "of a head, or a sampler or hook with a method "
            "`set_class_difficulty_weights`, or remove ClassDifficultyHook"
        )
    return takers


def check_start(
    runner: Runner, stats: ClassStats | None, source: str, by_epoch: bool
) -> ClassStats:
    """Refuse a training without counts, or with a loop that never brings an update.

    Returns:
        The counts of the training set.

    Raises:
        RuntimeError: There are no counts; names the hook that is missing.
        ValueError: The loop counts iterations where epochs are meant, or never
            validates where validation is the source.
    """
    if stats is None:
        raise RuntimeError(
            "ClassDifficultyHook has no counts of the training set: add "
            "`dict(type='imb_det.ImbalanceHook')` to the config, as in "
            "`custom_hooks = [dict(type='imb_det.ImbalanceHook'), "
            "dict(type='imb_det.ClassDifficultyHook', ...)]`"
        )
    loop = runner.train_loop
    if by_epoch and not isinstance(loop, EpochBasedTrainLoop):
        raise ValueError(
            f"ClassDifficultyHook counts epochs, but {type(loop).__name__} counts "
            "iterations: set `by_epoch=False`, and `interval` and `warmup` to numbers "
            "of iterations"
        )
    if source != "ap":
        return stats
    if runner.val_loop is None:
        raise ValueError(
            "ClassDifficultyHook: `source='ap'` reads the validation, but there is "
            "none: add `val_dataloader`, `val_evaluator` (with `classwise=True`) and "
            "`val_cfg`, or use another `source`"
        )
    end = loop.max_epochs if isinstance(loop, EpochBasedTrainLoop) else loop.max_iters
    first = max(loop.val_begin, min([loop.val_interval, *loop.dynamic_intervals]))
    if first > end:
        raise ValueError(
            "ClassDifficultyHook: `source='ap'` reads the validation, but the first "
            f"one is after {first} of {end} epochs or iterations: lower `val_interval` "
            "and `val_begin` in `train_cfg`"
        )
    return stats


def was_validated(runner: Runner) -> bool:
    """Tell whether a validation followed the point from which training resumes."""
    loop = runner.train_loop
    done = loop.epoch if isinstance(loop, EpochBasedTrainLoop) else loop.iter
    loop._decide_current_val_interval()  # as the loop itself before it validates
    return done >= loop.val_begin and done % loop.val_interval == 0
