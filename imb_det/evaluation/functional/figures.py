"""Precision and recall of all classes and sizes, by the verdicts of one matching."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from imb_det.core.checks import is_number

from .matches import Judgement
from .matching import IOU_THRS
from .precision_recall import precision_and_recall

__all__ = [
    "Figures",
    "check_budgets",
    "check_overlaps",
    "is_budget",
    "overlaps_to_judge",
    "span_of",
]


def check_overlaps(iou_thrs: Sequence[float] | None) -> None:
    """Refuse what no overlap can be: nothing at all, or not in (0, 1].

    Raises:
        ValueError: Shows what was given.
    """
    if iou_thrs is None:
        return
    is_list = isinstance(iou_thrs, (Sequence, np.ndarray)) and len(iou_thrs) > 0
    if not is_list or not all(is_number(v) and 0 < v <= 1 for v in iou_thrs):
        raise ValueError(
            "`iou_thrs` must be None or numbers above 0 and up to 1, such as "
            f"[0.5, 0.75], got {iou_thrs!r}"
        )


def check_budgets(name: str, numbers: Sequence[int]) -> None:
    """Refuse numbers of detections that are not whole, or below 1, or none.

    Args:
        name: Of the argument.
        numbers: What it holds.

    Raises:
        ValueError: Shows what was given.
    """
    is_list = isinstance(numbers, (Sequence, np.ndarray)) and len(numbers) > 0
    if not is_list or not all(map(is_budget, numbers)):
        raise ValueError(
            f"`{name}` must hold whole numbers >= 1, such as (100, 300), got "
            f"{numbers!r}"
        )


def is_budget(value: Any) -> bool:
    """Tell whether a value is a number of detections, whole and >= 1."""
    return is_number(value) and bool(value >= 1 and value == value // 1)


def overlaps_to_judge(iou_thrs: Sequence[float] | None) -> np.ndarray:
    """Return the overlaps of the figures, after 0.5 where it is not among them.

    F1, confusion and calibration are for an overlap of 0.5 whatever AP is for.

    Args:
        iou_thrs: Overlaps of the figures; COCO's if None.
    """
    asked = IOU_THRS if iou_thrs is None else np.asarray(iou_thrs, float)
    return asked if np.isclose(asked, 0.5).any() else np.append(0.5, asked)


def span_of(iou_thrs: Sequence[float] | None) -> str:
    """Write overlaps in words, ``0.5 to 0.95`` or ``0.5``; COCO's if None."""
    ends = IOU_THRS if iou_thrs is None else iou_thrs
    low, high = f"{min(ends):g}", f"{max(ends):g}"
    return low if low == high else f"{low} to {high}"


class Figures:
    """Precision and recall of C classes, at the T overlaps that were asked for.

    Args:
        judged: Verdicts at these overlaps, and perhaps at 0.5 before them.
        iou_thrs: As for :func:`overlaps_to_judge`.

    Attributes:
        asked: Columns of the verdicts that were asked for.
        precision: For all objects, and perhaps for small, medium and large ones, each
            float64 (C, T); NaN for a class without such an object.
        recall: The same, largest recall.
    """

    def __init__(self, judged: Judgement, iou_thrs: Sequence[float] | None) -> None:
        extra = len(judged.iou_thrs) - len(IOU_THRS if iou_thrs is None else iou_thrs)
        self.asked = slice(extra, None)
        both = [precision_and_recall(matches) for matches in judged.by_area]
        self.precision = [precision[:, self.asked] for precision, _ in both]
        self.recall = [recall[:, self.asked] for _, recall in both]
        self._iou_thrs = judged.iou_thrs[self.asked]

    def at(self, iou_thr: float) -> np.ndarray:
        """Return AP of each class at one overlap, NaN where it was not asked, (C,)."""
        column = np.flatnonzero(np.isclose(self._iou_thrs, iou_thr))
        if not column.size:
            return np.full(len(self.precision[0]), np.nan)
        return np.asarray(self.precision[0][:, column[0]])
