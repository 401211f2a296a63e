"""Text tables for logs and reports."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imb_det.core.shown_text import shown

from .results import EvalResults

__all__ = ["CLASS_COLUMNS", "class_rows", "format_number", "plain", "text_table"]

#: Columns of the table of classes, in the order of :func:`class_rows`.
CLASS_COLUMNS = (
    "class",
    "group",
    "train images",
    "boxes",
    "detections",
    "AP",
    "AP50",
    "AR",
    "best F1",
    "from score",
)


def format_number(value: float | None) -> str:
    """Write a figure between 0 and 1 with three digits, ``-`` where there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def plain(value: Any) -> Any:
    """Prepare a value for JSON, where a figure that is not defined is None."""
    return None if isinstance(value, float) and math.isnan(value) else value


def text_table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Set a table in columns: text to the left, numbers to the right.

    Args:
        headers: One for each column.
        rows: Strings, of which control characters are escaped and long ones shortened,
            whole numbers, figures (three digits are shown) or None.

    Returns:
        Lines without a trailing newline.

    Example:
        >>> print(text_table(["class", "AP"], [["cat", 0.5], ["dog", None]]))
        class     AP
        cat    0.500
        dog        -
    """
    columns = list(zip(*rows, strict=True)) if rows else [() for _ in headers]
    left = [any(isinstance(value, str) for value in column) for column in columns]
    cells = [tuple(headers)] + [tuple(map(_cell, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        aligned = (
            cell.ljust(width) if is_left else cell.rjust(width)
            for cell, width, is_left in zip(row, widths, left, strict=True)
        )
        lines.append("  ".join(aligned).rstrip())
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, (int, np.integer)):
        return str(value)
    return format_number(value)


def class_rows(
    results: EvalResults,
    image_count: Sequence[int] | np.ndarray | None = None,
    groups: Mapping[str, np.ndarray] | None = None,
) -> list[tuple[Any, ...]]:
    """Make one row of :data:`CLASS_COLUMNS` for each class, most images first.

    Args:
        results: Of :func:`~.coco_eval.evaluate_coco`.
        image_count: Training images of each class, (C,); unknown if None.
        groups: Class indices by the name of the group; unknown if None.

    Returns:
        Name, group, training images, objects to find, detections, AP, AP50, recall,
        best F1 at an overlap of 0.5, and the least score with which it is reached;
        None where unknown. Without counts the classes stay in their order.
    """
    group_of = {int(i): name for name, ids in (groups or {}).items() for i in ids}
    order = list(range(len(results.classes)))
    if image_count is not None:
        counts = np.asarray(image_count)
        order = np.argsort(-counts, kind="stable").tolist()
    return [
        (
            results.classes[i],
            group_of.get(i),
            None if image_count is None else int(counts[i]),
            int(results.object_count[i]),
            int(results.detection_count[i]),
            float(results.ap[i]),
            float(results.ap50[i]),
            float(results.recall[i]),
            float(results.best_f1[i]),
            float(results.best_f1_score[i]),
        )
        for i in order
    ]
