"""Whether scores are the chances of being right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .matches import IGNORED, RIGHT, Matches

__all__ = ["Calibration", "calibration"]


@dataclass(frozen=True, eq=False)
class Calibration:
    """Scores against precision, in bins of the score; NaN for an empty bin.

    Args:
        edges: Of the bins, ascending, (B + 1,).
        count: Detections, int64 (B,).
        mean_score: Float64 (B,).
        precision: Share of right detections, float64 (B,).
    """

    edges: np.ndarray
    count: np.ndarray
    mean_score: np.ndarray
    precision: np.ndarray

    @property
    def error(self) -> float:
        r"""Detection expected calibration error, in [0, 1]; NaN without a detection.

        .. math:: \sum_b \frac{n_b}{\sum_k n_k} |precision_b - score_b|
        """
        if not self.count.sum():
            return float("nan")
        gap = np.nan_to_num(np.abs(self.precision - self.mean_score))
        return float(self.count @ gap / self.count.sum())


def calibration(
    matches: Matches,
    classes: np.ndarray | None = None,
    *,
    score_thr: float = 0.3,
    bins: int = 15,
    threshold: int = 0,
) -> Calibration:
    """Compare scores with how often they are right.

    Args:
        matches: Verdicts of D detections at T overlaps; ignored ones do not count.
        classes: Class indices that count; all if None. Default: None.
        score_thr: Least score, in [0, 1): most detections of a detector have next to
            none, and would hide the rest. Default: 0.3.
        bins: Number of bins of equal width from ``score_thr`` to 1, >= 1. Default: 15.
        threshold: Index of the overlap. Default: 0.

    Returns:
        The bins and the error.

    Raises:
        ValueError: An argument out of range.

    Source: Küppers et al., "Multivariate Confidence Calibration for Object Detection"
    (CVPR Workshops 2020), with the score alone.
    """
    if not 0 <= score_thr < 1 or bins < 1:
        raise ValueError(
            f"`score_thr` must be in [0, 1) and `bins` >= 1, got {score_thr}, {bins}"
        )
    verdict = matches.verdict[:, threshold]
    keep = (verdict != IGNORED) & (matches.score >= score_thr)
    if classes is not None:
        keep &= np.isin(matches.label, classes)
    score, right = matches.score[keep], verdict[keep] == RIGHT
    edges = np.linspace(score_thr, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, score, side="right") - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        return Calibration(
            edges,
            count,
            np.bincount(place, score, bins) / count,
            np.bincount(place, right, bins) / count,
        )
