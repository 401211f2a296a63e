"""What follows from verdicts: average precision, best thresholds, pooled precision."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .matching import IGNORED, RIGHT, Matches

__all__ = ["average_precision", "best_f1", "pooled_precision"]

#: COCO's levels of recall.
RECALL_LEVELS = np.linspace(0, 1, 101)


def average_precision(
    matches: Matches, weights: np.ndarray | None = None
) -> np.ndarray:
    r"""Average precision of each class, for a set that holds images several times.

    .. math:: AP = \frac{1}{101} \sum_{r \in \{0, 0.01, \dots, 1\}}
              \max_{k: \, TP_k / n \geq r} \frac{TP_k}{TP_k + FP_k}

    Args:
        matches: Verdicts of D detections at T overlaps.
        weights: How often the set holds each image, whole numbers >= 0, (B, I) for B
            sets at once. None for each image once. Default: None.

    Returns:
        Float64 (B, C, T), NaN for a class without an object in the set.
    """
    if weights is None:
        weights = np.ones((1, matches.num_images), np.int64)
    shape = (len(weights), matches.num_classes, matches.verdict.shape[1])
    precision = np.full(shape, np.nan)
    for label in np.unique(matches.object_label).tolist():
        precision[:, label] = _class_precision(matches.of_class(label), weights)
    return precision


def pooled_precision(matches: Matches) -> np.ndarray:
    """Average precision with the detections of all classes in one ranking, (T,).

    It falls where scores of different classes mean different things.

    Args:
        matches: Verdicts of D detections at T overlaps.

    Returns:
        Float64 (T,), NaN without any object.

    Source: Dave et al., "Evaluating Large-Vocabulary Object Detectors: The Devil is in
    the Details" (2021).
    """
    order = np.argsort(-matches.score, kind="stable")
    pooled = replace(
        matches,
        image=matches.image[order],
        label=np.zeros_like(matches.label),
        score=matches.score[order],
        verdict=matches.verdict[order],
        object_label=np.zeros_like(matches.object_label),
        num_classes=1,
    )
    return average_precision(pooled)[0, 0]


def best_f1(matches: Matches, threshold: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The largest F1 of each class, and the score from which it is reached.

    Args:
        matches: Verdicts of D detections at T overlaps.
        threshold: Index of the overlap. Default: 0.

    Returns:
        F1 and score, each float64 (C,). Both NaN for a class without an object; F1 is
        0 and the score NaN where no detection is right.
    """
    f1 = np.full(matches.num_classes, np.nan)
    score = np.full(matches.num_classes, np.nan)
    for label in np.unique(matches.object_label).tolist():
        own = matches.of_class(label)
        verdict = own.verdict[:, threshold]
        judged = verdict != IGNORED
        right = np.cumsum(verdict[judged] == RIGHT)
        scores = own.score[judged]
        # F1 = 2 TP / (detections + objects); of equal scores all or none count.
        values = 2 * right / (np.arange(1, len(right) + 1) + len(own.object_image))
        values[:-1][scores[:-1] == scores[1:]] = 0
        f1[label] = values.max(initial=0)
        if f1[label] > 0:
            score[label] = scores[values.argmax()]
    return f1, score


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
