"""Whether objects get their own name: what a user sees who reads one label a box."""

from __future__ import annotations

import numpy as np

from .detections import Detections
from .ground_truth import GroundTruth
from .objects import objects_of
from .overlaps import overlaps_of, pairs_of

__all__ = ["named_right", "near_objects", "top1_recall"]


def top1_recall(
    ground_truth: GroundTruth, detections: Detections, *, iou_thr: float = 0.5
) -> np.ndarray:
    r"""Share of the objects of each class whose best detection has their class.

    .. math:: R_c = \frac{1}{|G_c|} \sum_{g \in G_c}
              \mathbb{1}\Bigl[\mathrm{label}\bigl(\arg\max_{d:\, o(d, g) \ge t}
              \mathrm{score}(d)\bigr) = c\Bigr]

    AP ranks detections within a class, over all images, and does not see which class
    has the highest score in a place. What moves scores of one class against those of
    another, such as logit adjustment, shows here and hardly in AP.

    Args:
        ground_truth: Images and objects; crowds and ignored ones are not to be named.
        detections: All of them.
        iou_thr: Least overlap of a detection with an object, in (0, 1]. Default: 0.5.

    Returns:
        Float64 (C,), in [0, 1]; NaN for a class without an object to find. An object
        without a detection is a miss, and so is one where the classes of the best
        score differ.

    Raises:
        ValueError: An overlap out of range.
    """
    objects = objects_of(ground_truth)
    label = objects.label[~objects.ignored]
    right = named_right(ground_truth, detections, iou_thr=iou_thr)
    classes = len(ground_truth.classes)
    total = np.bincount(label, minlength=classes)
    hits = np.bincount(label, weights=right, minlength=classes)
    return np.divide(hits, total, out=np.full(classes, np.nan), where=total > 0)


def near_objects(
    ground_truth: GroundTruth, detections: Detections, iou_thr: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Find the detections that overlap objects, of whatever class.

    Args:
        ground_truth: Images and objects.
        detections: All of them.
        iou_thr: Least overlap, in (0, 1]. Default: 0.5.

    Returns:
        Rows of detections and of objects, those of :func:`.objects_of`, in pairs.

    Raises:
        ValueError: An overlap out of range.
    """
    if not 0 < iou_thr <= 1:
        raise ValueError(f"`iou_thr` must be in (0, 1], got {iou_thr}")
    objects = objects_of(ground_truth)
    ours, theirs = pairs_of(detections.image, objects.image)
    overlap = overlaps_of(ground_truth, objects, detections, ours, theirs)
    near = overlap >= min(iou_thr, 1 - 1e-10)
    return ours[near], theirs[near]


def named_right(
    ground_truth: GroundTruth, detections: Detections, *, iou_thr: float = 0.5
) -> np.ndarray:
    """Whether the best detection of each object to find has its class, bool (G,).

    The arguments are those of :func:`top1_recall`; objects come in the order of the
    annotations, as in :class:`.Matches`.
    """
    objects = objects_of(ground_truth)
    ours, theirs = near_objects(ground_truth, detections, iou_thr)
    same = detections.label[ours] == objects.label[theirs]
    best = np.full((2, len(objects)), -np.inf)  # of other classes, and of its own
    np.maximum.at(best, (same.astype(int), theirs), detections.score[ours])
    right: np.ndarray = best[1] > best[0]
    return right[~objects.ignored]
