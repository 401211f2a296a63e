"""The table of the classes on disk."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from ..statistics.class_stats import ClassStats
from ..statistics.evenness import gini, imbalance_ratio
from .functional.tables import CLASS_COLUMNS, plain

__all__ = ["write_class_table"]


def write_class_table(
    stem: Path,
    rows: Sequence[Sequence[Any]],
    figures: Mapping[str, float],
    stats: ClassStats | None,
) -> None:
    """Write a table of classes as CSV and, with all figures, as JSON.

    Args:
        stem: Path of the files without ``_classes.csv`` and ``_classes.json``; its
            folder is made.
        rows: Of :func:`~.functional.tables.class_rows`.
        figures: Figures by name; those that are not defined become null.
        stats: Counts of the training set, whose Gini coefficient and imbalance ratio go
            into the JSON file; None if unknown.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    stem = stem.with_name(f"{stem.name}_classes")
    keys = [name.replace(" ", "_") for name in CLASS_COLUMNS]
    cells = [[plain(value) for value in row] for row in rows]
    with stem.with_suffix(".csv").open("w", newline="") as file:
        csv.writer(file).writerows([keys, *cells])
    content: dict[str, Any] = {
        "figures": {key: plain(value) for key, value in figures.items()},
        "classes": [dict(zip(keys, row, strict=True)) for row in cells],
    }
    if stats is not None:
        content["training_set"] = {
            "imbalance_ratio": plain(imbalance_ratio(stats.instance_count)),
            "gini": plain(gini(stats.instance_count)),
        }
    stem.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n")
    print_log(f"Figures of the classes: {stem}.csv and .json", logger="current")
