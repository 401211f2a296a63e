"""What follows from verdicts: precision, recall, best thresholds, pooled precision."""

from __future__ import annotations

import numpy as np

from .matches import IGNORED, RIGHT, Matches

__all__ = [
    "RECALL_LEVELS",
    "best_f1",
    "pooled_precision",
    "precision_and_recall",
    "recall_of",
]

#: COCO's levels of recall.
RECALL_LEVELS = np.linspace(0, 1, 101)


def precision_and_recall(matches: Matches) -> tuple[np.ndarray, np.ndarray]:
    r"""Average precision and largest recall of each class.

    .. math:: AP = \frac{1}{101} \sum_{r \in \{0, 0.01, \dots, 1\}}
              \max_{k: \, TP_k / n \geq r} \frac{TP_k}{TP_k + FP_k}

    Args:
        matches: Verdicts of D detections at T overlaps.

    Returns:
        Both float64 (C, T), NaN for a class without an object.
    """
    columns = [
        _precision(matches.label, verdict, matches.object_count)
        for verdict in matches.verdict.T
    ]
    return np.stack(columns, axis=1), recall_of(matches)


def recall_of(matches: Matches) -> np.ndarray:
    """Share of the objects of each class that are found, (C, T); NaN without any."""
    count = matches.object_count
    right = [
        np.bincount(matches.label[verdict == RIGHT], minlength=len(count))
        for verdict in matches.verdict.T
    ]
    return _divide(np.stack(right, axis=1), count[:, None])


def pooled_precision(matches: Matches, columns: slice = slice(None)) -> np.ndarray:
    """Average precision with the detections of all classes in one ranking, (T,).

    It falls where scores of different classes mean different things.

    Args:
        matches: Verdicts of D detections at T overlaps.
        columns: Overlaps that are wanted. Default: all of them.

    Returns:
        Float64 (T,), NaN without any object.

    Source: Dave et al., "Evaluating Large-Vocabulary Object Detectors: The Devil is in
    the Details" (2021).
    """
    order = np.argsort(-matches.score, kind="stable")
    one, count = np.zeros_like(matches.label), np.array([len(matches.object_label)])
    return np.array(
        [_precision(one, own[order], count)[0] for own in matches.verdict.T[columns]]
    )


def best_f1(matches: Matches, threshold: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The largest F1 of each class, and the score from which it is reached.

    Args:
        matches: Verdicts of D detections at T overlaps.
        threshold: Index of the overlap. Default: 0.

    Returns:
        F1 and score, each float64 (C,). Both NaN for a class without an object; F1 is
        0 and the score NaN where no detection is right.
    """
    verdict = matches.verdict[:, threshold]
    judged = verdict != IGNORED
    label, score = matches.label[judged], matches.score[judged]
    count = matches.object_count
    heads, own = _segments(label)
    right = _running(verdict[judged] == RIGHT, heads, own)
    position = np.arange(1, len(label) + 1) - heads[own]
    # F1 = 2 TP / (detections + objects); of equal scores all or none count.
    values = 2 * right / np.maximum(position + count[label], 1)
    values[:-1][(score[:-1] == score[1:]) & (label[:-1] == label[1:])] = 0
    f1, least = np.where(count > 0, 0.0, np.nan), np.full(len(count), np.nan)
    if len(heads):
        best = np.maximum.reduceat(values, heads)
        place = np.where(values == best[own], np.arange(len(values)), len(values))
        first = np.minimum.reduceat(place, heads)
        known = (count[label[heads]] > 0) & (best > 0)
        f1[label[heads[known]]] = best[known]
        least[label[heads[known]]] = score[first[known]]
    return f1, least


def _precision(label: np.ndarray, verdict: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Average precision of all classes at one overlap, (C,).

    Args:
        label: Class of each detection, ascending, (D,).
        verdict: On it, (D,).
        count: Objects by class, (C,).
    """
    places = np.flatnonzero(verdict == RIGHT)
    of_class = label[places]
    heads, own = _segments(of_class)
    judged = np.append(0, np.cumsum(verdict != IGNORED))
    before = judged[np.searchsorted(label, of_class[heads])]  # in other classes
    judged = judged[places + 1] - before[own]
    right = np.arange(1, len(places) + 1) - heads[own]
    # Between two right detections precision only falls: their places will do.
    best = right / (judged + np.spacing(1))
    _raise_to_later(best, own, np.diff(np.append(heads, len(own))).max(initial=0))
    # Each is the precision of the levels of recall that it is the first to reach.
    reached = np.searchsorted(RECALL_LEVELS, right / count[of_class], side="right")
    levels = np.diff(reached, prepend=0)
    levels[heads] = reached[heads]
    total = np.bincount(of_class, best * levels, len(count)) / len(RECALL_LEVELS)
    return np.where(count > 0, total, np.nan)


def _raise_to_later(values: np.ndarray, segment: np.ndarray, longest: int) -> None:
    """Raise each value to the largest one from it on to the end of its segment."""
    step = 1
    while step < longest:
        same = segment[:-step] == segment[step:]
        later = np.where(same, values[step:], 0)
        np.maximum(values[:-step], later, out=values[:-step])
        step *= 2


def _segments(label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where each class begins, and the segment of each entry."""
    heads = np.flatnonzero(np.diff(label, prepend=-1))
    return heads, np.repeat(
        np.arange(len(heads)), np.diff(np.append(heads, len(label)))
    )


def _running(values: np.ndarray, heads: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Count from the beginning of each segment on."""
    total = np.cumsum(values)
    return total - (total[heads] - values[heads])[own]


def _divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    shape = np.broadcast_shapes(part.shape, whole.shape)
    return np.divide(part, whole, out=np.full(shape, np.nan), where=whole > 0)
