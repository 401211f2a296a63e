"""Sets of labels that objects are given: how many, and whether theirs is in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from imb_det.evaluation.functional import Detections, GroundTruth
from imb_det.evaluation.functional.matches import ranks_in
from imb_det.evaluation.functional.objects import objects_of
from imb_det.evaluation.functional.top1 import near_objects

from .operating_figures import OperatingChange, changes_of, draws_of_images

__all__ = ["LabelSetChange", "compare_label_sets"]


@dataclass(frozen=True)
class LabelSetChange:
    """What average-K does to the labels of objects.

    Args:
        figures: For all classes and for each group.
        most: K of the best labels that it is compared with.
    """

    figures: list[OperatingChange]
    most: int


def compare_label_sets(
    ground_truth: GroundTruth,
    before: Detections,
    after: Detections,
    groups: Mapping[str, Sequence[int] | np.ndarray],
    resamples: int = 1000,
    iou_thr: float = 0.5,
    seed: int = 0,
) -> LabelSetChange:
    r"""Compare the labels that objects are given by two sets of detections.

    .. math:: S_g = \{\mathrm{label}(d) : o(d, g) \ge t\}, \qquad
              \mathrm{error} = 1 - \frac{1}{|G|} \sum_g \mathbb{1}[y_g \in S_g]

    Average-K lets the size of S differ between objects; beside it, the error where all
    get K labels, the best of the first detections, with K the mean size of the second
    sets, rounded, at least 1.

    Args:
        ground_truth: Images and objects; crowds and ignored ones do not count.
        before: Detections of the first.
        after: Those that average-K has left.
        groups: Class indices by the name of the group.
        resamples: Of the images, for the intervals, >= 1. Default 1000.
        iou_thr: Least overlap t, in (0, 1]. Default 0.5.
        seed: Of the random numbers. Default 0.

    Returns:
        Mean size of the sets, coverage, which is 1 less the error, and coverage of
        average-K against the K best; of objects by the group of their class.

    Source: Lorieul et al., "Classification Under Ambiguity: When Is Average-K Better
    Than Top-K?", 2021, with objects in place of images.
    """
    objects = objects_of(ground_truth)
    wanted = ~objects.ignored
    images = len(ground_truth.images)
    sizes, ranks = zip(
        *(_sets(ground_truth, found, iou_thr) for found in (before, after)),
        strict=True,
    )
    mean = sizes[1][wanted].mean() if wanted.any() else 0.0
    most = max(1, round(float(mean)))
    rows = [
        (sizes[0], ranks[0] < sizes[0], ranks[0] < most),
        (sizes[1], ranks[1] < sizes[1], ranks[1] < sizes[1]),
    ]
    names = "labels", "coverage", f"coverage, {most} best"
    draws = draws_of_images(images, resamples, seed)
    classes = np.arange(len(ground_truth.classes))
    found: list[OperatingChange] = []
    for group, members in {"all": classes, **groups}.items():
        chosen = wanted & np.isin(objects.label, members)
        count = np.bincount(objects.image[chosen], minlength=images)
        one, other = (
            _shares(draws, count, objects.image[chosen], [row[chosen] for row in own])
            for own in rows
        )
        found += changes_of(names, group, one, other)
    return LabelSetChange(found, most)


def _sets(
    ground_truth: GroundTruth, detections: Detections, iou_thr: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of labels of each object, and the rank of its own, from 0.

    The rank of a label that is not in the set is the size of the set, or more.
    """
    objects = objects_of(ground_truth)
    ours, theirs = near_objects(ground_truth, detections, iou_thr)
    classes = len(ground_truth.classes)
    key = theirs.astype(np.int64) * classes + detections.label[ours]
    order = np.lexsort((-detections.score[ours], key))
    key, first = np.unique(key[order], return_index=True)
    score = detections.score[ours][order][first]
    owner, label = np.divmod(key, classes)
    size = np.bincount(owner, minlength=len(objects))
    rank = ranks_in(owner, score)
    own = label == objects.label[owner]
    place = np.full(len(objects), np.iinfo(np.int64).max)
    place[owner[own]] = rank[own]
    return size, place


def _shares(
    draws: np.ndarray,
    count: np.ndarray,
    image: np.ndarray,
    figures: Sequence[np.ndarray],
) -> np.ndarray:
    """Return means over the objects of each resample, (resamples, figures)."""
    sums = [np.bincount(image, own.astype(float), len(count)) for own in figures]
    with np.errstate(divide="ignore", invalid="ignore"):
        return (draws @ np.stack(sums, 1)) / (draws @ count)[:, None]
