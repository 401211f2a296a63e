"""Figures of detections above a threshold, with intervals from resampled images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from imb_det.evaluation.functional.matches import IGNORED, RIGHT, Matches

__all__ = [
    "FIGURES",
    "OperatingChange",
    "changes_of",
    "compare_operating_figures",
    "draws_of_images",
]

#: What is measured at a threshold.
FIGURES = ("F1", "recall", "precision", "calibration error")
_BINS = 15


@dataclass(frozen=True)
class OperatingChange:
    """One figure of two detectors, and by how much the second is above the first.

    Args:
        figure: Such as one of :data:`FIGURES`.
        group: Name of the group of classes; ``'all'`` for all of them.
        before: Of the first detector; NaN where it is not defined.
        after: Of the second one.
        interval: Of the difference, over resampled images.
    """

    figure: str
    group: str
    before: float
    after: float
    interval: tuple[float, float]


def compare_operating_figures(
    before: Matches,
    after: Matches,
    groups: Mapping[str, Sequence[int] | np.ndarray],
    score_thr: float = 0.3,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> list[OperatingChange]:
    r"""Compare detections above a threshold, of two detectors on the same images.

    F1, recall and precision are of all objects of a group of classes together; the
    calibration error is :math:`\sum_b \frac{n_b}{n} |p_b - \bar s_b|` over 15 bins of
    the score from the threshold to 1, with the precision p.

    Args:
        before: Verdicts on the detections of the first; the first overlap counts.
        after: Those of the second.
        groups: Class indices by the name of the group.
        score_thr: Least score, in [0, 1). Default 0.3.
        resamples: Number of resamples of the images, >= 1. Default 1000.
        confidence: Of the intervals, in (0, 1). Default 0.95.
        seed: Of the random numbers. Default 0.

    Returns:
        Each figure, for all classes and for each group.
    """
    draws = draws_of_images(before.num_images, resamples, seed)
    found = []
    for group, members in {"all": np.arange(before.num_classes), **groups}.items():
        one, other = (
            _figures(draws @ _sums(part, np.asarray(members), score_thr))
            for part in (before, after)
        )
        found += changes_of(FIGURES, group, one, other, confidence)
    return found


def draws_of_images(images: int, resamples: int, seed: int = 0) -> np.ndarray:
    """Return how often resamples have each image, (1 + resamples, images).

    Args:
        images: Number of images.
        resamples: Number of resamples; the first row is the images themselves.
        seed: Of the random numbers. Default 0.
    """
    random = np.random.default_rng(seed)
    shares = np.full(images, 1 / images)
    draws = random.multinomial(images, shares, resamples).astype(float)
    return np.concatenate([np.ones((1, images)), draws])


def changes_of(
    figures: Sequence[str],
    group: str,
    before: np.ndarray,
    after: np.ndarray,
    confidence: float = 0.95,
) -> list[OperatingChange]:
    """Return the changes of figures of a group, with intervals.

    Args:
        figures: F names.
        group: Name of the group.
        before: Of the images, then of each resample, (1 + resamples, F).
        after: The same of the second detector.
        confidence: Of the intervals, in (0, 1). Default 0.95.
    """
    ends = (1 - confidence) / 2
    found = []
    for place, figure in enumerate(figures):
        change = (after - before)[1:, place]
        change = change[np.isfinite(change)]
        interval = (np.nan, np.nan)
        if change.size:
            interval = tuple(np.quantile(change, [ends, 1 - ends]).tolist())
        values = before[0, place], after[0, place]
        found.append(OperatingChange(figure, group, *values, interval))
    return found


def _sums(matches: Matches, members: np.ndarray, score_thr: float) -> np.ndarray:
    """Return what figures are made of, by image, (images, 1 + 3 * bins).

    Objects, and for each bin of the score: detections, right ones, sum of scores.
    """
    verdict = matches.verdict[:, 0]
    keep = (verdict != IGNORED) & (matches.score >= score_thr)
    keep &= np.isin(matches.label, members)
    score, right = matches.score[keep], verdict[keep] == RIGHT
    place = ((score - score_thr) / (1 - score_thr) * _BINS).astype(int)
    place = np.clip(place, 0, _BINS - 1)
    cell = matches.image[keep].astype(np.int64) * _BINS + place
    parts = [
        np.bincount(cell, weights, matches.num_images * _BINS)
        for weights in (np.ones(len(score)), right.astype(float), score)
    ]
    objects = matches.object_image[np.isin(matches.object_label, members)]
    columns = [np.bincount(objects, minlength=matches.num_images)[:, None]]
    columns += [part.reshape(matches.num_images, _BINS) for part in parts]
    return np.concatenate(columns, 1)


def _figures(sums: np.ndarray) -> np.ndarray:
    """Return the figures of each resample, (resamples, figures)."""
    objects = sums[:, 0]
    count, right, score = np.split(sums[:, 1:], 3, axis=1)
    kept, rights = count.sum(1), right.sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.abs(right - score).sum(1) / kept
        return np.stack(
            [
                2 * rights / (kept + objects),
                rights / objects,
                rights / kept,
                error,
            ],
            1,
        )
