"""Tells the log, the visualizers and a file about class difficulty."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.runner import Runner

from .tracker import DifficultyTracker

__all__ = ["report"]


def report(
    runner: Runner,
    tracker: DifficultyTracker,
    measured: np.ndarray,
    line: str,
    **place: Any,
) -> None:
    """Report one update.

    The log gets the line, the scalars ``train/cdb_*`` the extremes, and on the main
    rank ``class_difficulty.jsonl`` in the work folder one more line with the numbers
    of all classes: what the weights follow from (``accuracy``), what was measured this
    time, and the weights. A training that resumes goes on with that file.

    Args:
        runner: For work folder and message hub.
        tracker: After the update.
        measured: New accuracies, NaN where not measured, (C,).
        line: What ``tracker.update`` returned.
        **place: First entries of the line in the file, such as the epoch.
    """
    is_known = not np.isnan(tracker.filled).any()
    print_log(
        f"ClassDifficultyHook: {line}",
        logger="current",
        level=logging.INFO if is_known else logging.WARNING,
    )
    if is_known:
        for name, value in (
            ("tau", tracker.tau),
            ("mean_accuracy", float(tracker.filled.mean())),
            ("weight_min", float(tracker.weights.min())),
            ("weight_max", float(tracker.weights.max())),
        ):
            runner.message_hub.update_scalar(f"train/cdb_{name}", value)
    if is_main_process():
        record = {
            **place,
            "tau": tracker.tau if is_known else None,
            "accuracy": tracker.by_name(tracker.filled),
            "measured": tracker.by_name(measured),
            "weights": tracker.by_name(tracker.weights),
        }
        path = Path(runner.work_dir, "class_difficulty.jsonl")
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
