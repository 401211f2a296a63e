"""Average precision of a set that holds its images several times."""

from __future__ import annotations

import numpy as np

from .matches import IGNORED, RIGHT, Matches
from .precision_recall import RECALL_LEVELS, precision_and_recall

__all__ = ["average_precision"]


def average_precision(
    matches: Matches, weights: np.ndarray | None = None
) -> np.ndarray:
    """Average precision of each class, for a set that holds images several times.

    It is :func:`precision_and_recall` of the set that really holds the copies.

    Args:
        matches: Verdicts of D detections at T overlaps.
        weights: How often the set holds each image, whole numbers >= 0, (B, I) for B
            sets at once. None for each image once. Default: None.

    Returns:
        Float64 (B, C, T), NaN for a class without an object in the set.
    """
    if weights is None:
        return precision_and_recall(matches)[0][None]
    shape = (len(weights), matches.num_classes, matches.verdict.shape[1])
    precision = np.full(shape, np.nan)
    for label in np.unique(matches.object_label).tolist():
        precision[:, label] = _class_precision(matches.of_class(label), weights)
    return precision


def _class_precision(matches: Matches, weights: np.ndarray) -> np.ndarray:
    """Average precision of one class in B sets, (B, T)."""
    objects = weights[:, matches.object_image].sum(1)
    needed = _right_needed(objects)
    # What follows the last right detection changes nothing.
    ever_right = np.flatnonzero((matches.verdict == RIGHT).any(1))
    end = int(ever_right[-1]) + 1 if ever_right.size else 0
    copies = weights[:, matches.image[:end]]
    position = copies.cumsum(1)
    precision = np.zeros((len(weights), matches.verdict.shape[1]))
    rows = np.arange(len(weights))[:, None]
    for t, verdict in enumerate(matches.verdict[:end].T):
        # Between two right detections precision only falls: their places will do.
        places = np.flatnonzero(verdict == RIGHT)
        if not places.size:
            continue
        right = copies[:, places].cumsum(1)
        judged = position[:, places] - _ignored_before(copies, verdict, places)
        curve = right / (judged + np.spacing(1))
        best = np.maximum.accumulate(curve[:, ::-1], axis=1)[:, ::-1]
        # One search for all sets: each has its own range of whole numbers.
        shift = rows * (max(right[:, -1].max(), needed.max()) + 1)
        place = np.searchsorted((right + shift).ravel(), needed + shift)
        place -= rows * len(places)
        is_reached = place < len(places)
        values = best[rows, np.minimum(place, len(places) - 1)]
        precision[:, t] = np.where(is_reached, values, 0).mean(1)
    precision[objects == 0] = np.nan
    return precision


def _ignored_before(
    copies: np.ndarray, verdict: np.ndarray, places: np.ndarray
) -> np.ndarray | int:
    """Count the ignored detections before each place, (B, places), or 0 for none."""
    ignored = np.flatnonzero(verdict == IGNORED)
    before = np.searchsorted(ignored, places)
    if not before[-1]:
        return 0
    count = copies[:, ignored[: before[-1]]].cumsum(1)
    return np.where(before > 0, count[:, np.maximum(before - 1, 0)], 0)


def _right_needed(objects: np.ndarray) -> np.ndarray:
    """Return how many right detections reach each level of recall, (B, 101).

    That is the least k >= 1 with k / n >= level in floating point, as the curve of
    recall is compared.
    """
    n = np.maximum(objects, 1)[:, None]
    k = np.ceil(RECALL_LEVELS * n)
    k = np.where((k - 1) / n >= RECALL_LEVELS, k - 1, k)
    k = np.where(k / n < RECALL_LEVELS, k + 1, k)
    return np.maximum(k, 1).astype(np.int64)
