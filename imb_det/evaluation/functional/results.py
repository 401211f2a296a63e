"""Figures of one evaluation, whole, by class and by group of classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .matches import Judgement

__all__ = ["EvalResults", "nan_mean"]


def nan_mean(values: np.ndarray) -> float:
    """Mean of the numbers that are not NaN, NaN if there is none."""
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float("nan")


@dataclass(frozen=True, eq=False)
class EvalResults:
    """Figures of one evaluation; NaN where there is no object to find.

    Args:
        classes: Names, length C.
        summary: Figures of the whole set by name, each a number from 0 to 1.
        ap: AP of each class over all overlaps, float64 (C,).
        ap50: AP of each class at an overlap of 0.5, float64 (C,).
        recall: Recall of each class over the same overlaps and with the same number
            of detections as ``ap``, float64 (C,).
        object_count: Objects to find, crowds and ignored ones left out; int64 (C,).
        detection_count: Detections that count; int64 (C,).
        best_f1: Largest F1 of each class at an overlap of 0.5, float64 (C,).
        best_f1_score: Least score with which it is reached, float64 (C,).
        judged: The verdicts from which all of it follows.
    """

    classes: tuple[str, ...]
    summary: dict[str, float]
    ap: np.ndarray
    ap50: np.ndarray
    recall: np.ndarray
    object_count: np.ndarray
    detection_count: np.ndarray
    best_f1: np.ndarray
    best_f1_score: np.ndarray
    judged: Judgement

    def group_summary(self, groups: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Average over groups of classes, as ``APr``, ``APr_50``, ``ARr`` and so on.

        Args:
            groups: Class indices by the name of the group, for example of
                :func:`~imb_det.statistics.frequency_groups.frequency_groups`.

        Returns:
            Three figures for each group, keyed by the first letter of its name. A
            group in which no class has an object to find is absent, and so is AP at
            0.5 where that is not among the overlaps.
        """
        figures = {}
        for name, members in groups.items():
            figures[f"AP{name[0]}"] = nan_mean(self.ap[members])
            figures[f"AP{name[0]}_50"] = nan_mean(self.ap50[members])
            figures[f"AR{name[0]}"] = nan_mean(self.recall[members])
        return {name: value for name, value in figures.items() if np.isfinite(value)}

    def balance_summary(self, groups: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Say how evenly the classes are found.

        Args:
            groups: As for :meth:`group_summary`.

        Returns:
            ``AP_gap``, APf less APr, where both exist; ``AP_gmean``, the geometric
            mean over the classes, 0 as soon as one of them has AP 0; ``AP_worst``, the
            AP of the worst class. Empty where no class has an object to find.
        """
        known = self.ap[np.isfinite(self.ap)]
        if not known.size:
            return {}
        found = self.group_summary(groups)
        figures = {}
        if "APf" in found and "APr" in found:
            figures["AP_gap"] = found["APf"] - found["APr"]
        with np.errstate(divide="ignore"):
            figures["AP_gmean"] = float(np.exp(np.log(known).mean()))
        figures["AP_worst"] = float(known.min())
        return figures
