"""The table of the classes on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from imb_det.core.shown_text import write_text

from .csv_tables import write_table
from .functional.tables import CLASS_COLUMNS, plain

__all__ = ["write_class_table"]


def write_class_table(
    stem: Path,
    rows: Sequence[Sequence[Any]],
    figures: Mapping[str, float],
    training_set: Mapping[str, float],
    columns: Sequence[str] = CLASS_COLUMNS,
) -> None:
    """Write a table of classes as CSV and, with all figures, as JSON.

    Args:
        stem: Path of the files without ``_classes.csv`` and ``_classes.json``; its
            folder is made.
        rows: Of :func:`~.functional.tables.class_rows`.
        figures: Figures by name; those that are not defined become null.
        training_set: Figures of the training set, for the JSON file; empty if unknown.
        columns: Of the rows. Default: those of detectors.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    stem = stem.with_name(f"{stem.name}_classes")
    keys = [name.replace(" ", "_") for name in columns]
    cells = [[plain(value) for value in row] for row in rows]
    write_table(stem.with_suffix(".csv"), [keys, *cells])
    content: dict[str, Any] = {
        "figures": {key: plain(value) for key, value in figures.items()},
        "classes": [dict(zip(keys, row, strict=True)) for row in cells],
    }
    if training_set:
        content["training_set"] = {k: plain(v) for k, v in training_set.items()}
    write_text(stem.with_suffix(".json"), json.dumps(content, indent=1) + "\n")
    print_log(f"Figures of the classes: {stem}.csv and .json", logger="current")
