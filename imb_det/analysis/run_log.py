"""The curves of a training run, also one that was resumed."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

__all__ = ["RunLog", "read_run_log"]

#: What a record holds beside losses and metrics.
_BOOKKEEPING = {"step", "iter", "epoch", "time", "data_time", "memory"}

_Points = dict[str, dict[int, float]]


@dataclass(frozen=True)
class RunLog:
    """Logged numbers over iterations.

    Args:
        train: Iterations (int64, ascending) and values (float64) of each number that
            training logged, such as ``loss`` and ``lr``.
        val: The same for each metric; the iteration is the last one logged before the
            validation.
    """

    train: dict[str, tuple[np.ndarray, np.ndarray]]
    val: dict[str, tuple[np.ndarray, np.ndarray]]


def read_run_log(work_dir: str | Path) -> RunLog:
    """Join ``<work_dir>/<timestamp>/vis_data/scalars.json`` of all timestamps.

    A later run replaces what earlier ones logged from its first iteration on: a
    resumed run continues the curves, a new run in the same folder starts them anew.
    Lines that are no record are skipped, such as the last one of a run that was killed.

    Args:
        work_dir: Work dir of an mmengine runner.

    Returns:
        Curves; empty where nothing was logged.
    """
    train: _Points = {}
    val: _Points = {}
    for path in sorted(Path(work_dir).glob("*/vis_data/scalars.json")):
        run_train, run_val = _read_run(path)
        starts = [min(points) for points in run_train.values()]
        if not starts:
            continue
        for curves in (train, val):
            _cut(curves, min(starts))
        for curves, added in ((train, run_train), (val, run_val)):
            for name, points in added.items():
                curves.setdefault(name, {}).update(points)
    return RunLog(_arrays(train), _arrays(val))


def _read_run(path: Path) -> tuple[_Points, _Points]:
    """Sort the lines of one file into training and validation."""
    train: _Points = {}
    val: _Points = {}
    iteration = 0
    unreadable = 0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            record = json.loads(line, parse_int=float)  # no number is too large
            number = record.get("iter") or record.get("step") or iteration
            is_training = "iter" in record or "lr" in record
            if is_training:
                iteration = int(np.int64(int(number)))
        except (AttributeError, OverflowError, RecursionError, TypeError, ValueError):
            unreadable += bool(line.strip())
            continue
        if is_training:
            _add(train, record, iteration)
        else:
            _add(val, record, iteration)
    if unreadable:
        print_log(
            f"{path}: {unreadable} lines are no record and were skipped (a run that "
            "was killed leaves one).",
            logger="current",
            level=logging.WARNING,
        )
    return train, val


def _add(curves: _Points, record: Mapping[str, Any], iteration: int) -> None:
    for name, value in record.items():
        if name not in _BOOKKEEPING and isinstance(value, (int, float)):
            curves.setdefault(name, {})[iteration] = float(value)


def _cut(curves: _Points, start: int) -> None:
    """Drop the points from iteration ``start`` on."""
    for name in list(curves):
        curves[name] = {i: v for i, v in curves[name].items() if i < start}
        if not curves[name]:
            del curves[name]


def _arrays(curves: _Points) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {
        name: (
            np.array(sorted(points), dtype=np.int64),
            np.array([points[i] for i in sorted(points)], dtype=np.float64),
        )
        for name, points in curves.items()
    }
