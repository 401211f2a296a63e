"""Precision and recall of all classes and sizes, by the verdicts of one matching."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .matches import Judgement
from .matching import IOU_THRS
from .precision_recall import precision_and_recall

__all__ = ["Figures", "overlaps_to_judge", "span_of"]


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
