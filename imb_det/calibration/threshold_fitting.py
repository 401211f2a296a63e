"""Thresholds by class, from detections that were judged on held-out images."""

from __future__ import annotations

import numpy as np

from imb_det.core import check_choice, check_number
from imb_det.evaluation.functional.matches import IGNORED, RIGHT, Matches

__all__ = ["OBJECTIVES", "fit_thresholds"]

#: What a threshold of a class may be chosen for.
OBJECTIVES = ("f1", "recall", "precision", "cost")


def fit_thresholds(
    matches: Matches,
    objective: str = "f1",
    target: float | None = None,
    shrink: float = 20.0,
) -> list[float]:
    r"""Return the score from which on detections of each class are worth keeping.

    .. math:: t_c = \frac{n_c \hat t_c + k\, t}{n_c + k}

    where :math:`\hat t_c` is best for the class itself, t for all classes together, and
    n the number of objects of the class: with few objects t is the better guess.

    Args:
        matches: Verdicts on the detections of held-out images; the first overlap
            counts.
        objective: ``'f1'``, its largest value; ``'recall'``, the largest threshold
            with at least this recall; ``'precision'``, the least one with at least
            this precision from there on; ``'cost'``, the least sum of missed objects,
            and of wrong detections at this price each. Default ``'f1'``.
        target: Recall or precision in (0, 1], or price > 0; none for ``'f1'``.
        shrink: k, >= 0; 0 for thresholds of each class by itself. Default 20.

    Returns:
        C numbers in [0, 1]. A class without objects or detections has t; for F1, which
        is 0 at every threshold then, also one without a right detection.

    Raises:
        TypeError, ValueError: An argument out of range, or no object or no detection at
            all.
    """
    check_choice("fit_thresholds", "objective", objective, OBJECTIVES)
    check_number("fit_thresholds", "shrink", shrink, 0, None)
    if (target is None) != (objective == "f1"):
        raise ValueError(
            f"fit_thresholds: {objective!r} needs "
            f"{'no' if objective == 'f1' else 'a'} `target`, got {target!r}"
        )
    if target is not None:
        high = None if objective == "cost" else 1.0
        check_number("fit_thresholds", "target", target, 0, high)
        if target == 0:
            raise ValueError("fit_thresholds: `target` must be above 0")
    counts = matches.object_count
    if not counts.sum():
        raise ValueError("fit_thresholds: there is no object on the held-out images")
    keep = matches.verdict[:, 0] != IGNORED
    scores, labels = matches.score[keep], matches.label[keep]
    rights = matches.verdict[keep, 0] == RIGHT
    if not len(scores):
        raise ValueError("fit_thresholds: nothing is detected on the held-out images")
    shared = _best(scores, rights, int(counts.sum()), objective, target)
    found = []
    for label, count in enumerate(counts.tolist()):
        own = labels == label
        useful = rights if objective == "f1" else own
        if not (count and (own & useful).any()):
            found.append(shared)
            continue
        best = _best(scores[own], rights[own], count, objective, target)
        found.append((count * best + shrink * shared) / (count + shrink))
    return found


def _best(
    scores: np.ndarray,
    rights: np.ndarray,
    count: int,
    objective: str,
    target: float | None,
) -> float:
    """Return the best threshold; halfway to the next score below where there is one."""
    order = np.argsort(-scores, kind="stable")
    scores, rights = scores[order], rights[order]
    found = np.cumsum(rights)
    kept = np.arange(1, len(scores) + 1)
    # Between equal scores there is no threshold.
    ends = np.flatnonzero(np.diff(scores, append=-1.0) != 0)
    if objective == "f1":
        value = 2 * found / (kept + count)
    elif objective == "cost":
        value = -(count - found) - float(target or 0) * (kept - found)
    elif objective == "recall":
        reached = found[ends] / count >= float(target or 0) - 1e-12
        return _below(scores, int(ends[np.argmax(reached)])) if reached.any() else 0.0
    else:
        reached = found[ends] / kept[ends] >= float(target or 0) - 1e-12
        place = ends[np.flatnonzero(reached)[-1]] if reached.any() else -1
        return _below(scores, int(place))
    if objective == "cost" and value[ends].max() < -count:
        return _below(scores, -1)
    return _below(scores, int(ends[np.argmax(value[ends])]))


def _below(scores: np.ndarray, place: int) -> float:
    """Return the middle between a score and the next one; 1 and 0 are the ends."""
    high = 1.0 if place < 0 else float(scores[place])
    low = 0.0 if place + 1 >= len(scores) else float(scores[place + 1])
    return (high + low) / 2
