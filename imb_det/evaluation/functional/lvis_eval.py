"""Average precision by the rules of LVIS as one function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .accumulation import AREAS, IOU_THRS, Accumulated, accumulate, nan_mean
from .detections import Detections
from .federated import FederatedGroundTruth
from .matching import match
from .precision_recall import best_f1, pooled_precision
from .results import EvalResults

__all__ = [
    "FIXED_PER_CLASS",
    "best_of_classes",
    "best_of_images",
    "counted_by_lvis",
    "evaluate_lvis",
]

#: Detections of a class in the whole set that fixed AP counts.
FIXED_PER_CLASS = 10_000


def evaluate_lvis(
    ground_truth: FederatedGroundTruth,
    predictions: Sequence[Mapping[str, Any]] | Detections,
    iou_type: str = "bbox",
    *,
    iou_thrs: Sequence[float] | None = None,
    max_dets: int | None = 300,
    fixed_ap: bool = False,
) -> EvalResults:
    """Compute average precision and recall by LVIS's rules.

    In this order: of each image the ``max_dets`` best detections of all classes count;
    of those, the ones of a class that the image was judged for; a detection of a class
    whose objects may lack annotations is not wrong when it matches none.

    Args:
        ground_truth: All images to judge.
        predictions: As for :meth:`Detections.from_predictions`, or its result.
        iou_type: ``bbox`` or ``segm``. Default: ``bbox``.
        iou_thrs: Overlaps at which a detection is right, ascending, in (0, 1]; 0.5,
            0.55, ... 0.95 if None. Default: None.
        max_dets: Detections that count in an image, >= 1; all of them if None.
            Default: 300.
        fixed_ap: Whether the 10,000 best detections of each class in the whole set
            count, in place of ``max_dets`` in each image. Default: False.

    Returns:
        The figures. ``summary`` holds ``AP``, ``AP50``, ``AP75``, ``APs``, ``APm``,
        ``APl``, ``AP_pool`` (all classes in one ranking), and ``AR@n``, ``ARs@n``,
        ``ARm@n``, ``ARl@n`` with n for the detections that count (``all`` without
        limit, ``10000`` for fixed AP).

    Raises:
        ValueError: ``max_dets`` below 1; predictions that cannot be judged, see
            :meth:`Detections.from_predictions`.

    Source:
        Gupta et al., LVIS (CVPR 2019), as coded in its toolkit; fixed AP of Dave et
        al., "Evaluating Large-Vocabulary Object Detectors: The Devil is in the
        Details" (2021). Deviation: the size of a mask is that of the mask, not of its
        box.
    """
    if not isinstance(predictions, Detections):
        predictions = Detections.from_predictions(ground_truth, predictions, iou_type)
    budget = "10000" if fixed_ap else str(max_dets or "all")
    counted, unjudged = counted_by_lvis(ground_truth, predictions, max_dets, fixed_ap)
    overlaps = IOU_THRS if iou_thrs is None else np.asarray(iou_thrs, float)
    found = accumulate(ground_truth, counted, iou_thrs=overlaps, unjudged=unjudged)
    matches = match(ground_truth, counted, iou_thrs=[0.5, *overlaps], unjudged=unjudged)
    return EvalResults(
        ground_truth.classes,
        {
            **_summary(found, budget),
            "AP_pool": float(pooled_precision(matches)[1:].mean()),
        },
        found.precision[:, :, 0, 0].mean(0),
        found.at(0.5),
        found.recall[:, :, 0, 0].mean(0),
        ground_truth.object_count,
        np.bincount(counted.label, minlength=len(ground_truth.classes)),
        *best_f1(matches),
    )


def counted_by_lvis(
    ground_truth: FederatedGroundTruth,
    detections: Detections,
    max_dets: int | None = 300,
    fixed_ap: bool = False,
) -> tuple[Detections, np.ndarray]:
    """Apply the rules of LVIS before any matching.

    Args:
        ground_truth: All images to judge.
        detections: Of these images.
        max_dets: As for :func:`evaluate_lvis`.
        fixed_ap: As for :func:`evaluate_lvis`.

    Returns:
        The detections that count, and which of them do not if they match nothing.
    """
    if fixed_ap:
        best = best_of_classes(detections, FIXED_PER_CLASS)
    else:
        best = best_of_images(detections, max_dets)
    counted = best.take(ground_truth.is_judged(best))
    return counted, ground_truth.is_unjudged_if_wrong(counted)


def best_of_images(detections: Detections, most: int | None) -> Detections:
    """Keep the best detections of each image, of all classes together.

    Args:
        detections: Of any number of images.
        most: Number of detections, >= 1; all if None.

    Raises:
        ValueError: ``most`` below 1.
    """
    if most is None:
        return detections
    if most < 1:
        raise ValueError(f"`max_dets` must be None or >= 1, got {most}")
    return _best(detections, detections.image, most)


def best_of_classes(detections: Detections, most: int) -> Detections:
    """Keep the best detections of each class in the whole set."""
    return _best(detections, detections.label, most)


def _best(detections: Detections, key: np.ndarray, most: int) -> Detections:
    """Keep the ``most`` best of each key; the first ones of equal scores."""
    if not len(key) or np.bincount(key).max() <= most:
        return detections
    order = np.lexsort((-detections.score, key))
    first = np.searchsorted(key[order], key[order])
    rank = np.arange(len(order)) - first
    return detections.take(np.sort(order[rank < most]))


def _summary(found: Accumulated, budget: str) -> dict[str, float]:
    """Return the figures under the names of LVIS."""
    precision, recall = found.precision[..., 0], found.recall[..., 0]
    summary = {
        "AP": nan_mean(precision[:, :, 0].mean(0)),
        "AP50": nan_mean(found.at(0.5)),
        "AP75": nan_mean(found.at(0.75)),
    }
    for kind, values, end in (("AP", precision, ""), ("AR", recall, f"@{budget}")):
        if kind == "AR":
            summary[f"AR{end}"] = nan_mean(values[:, :, 0])
        for area, name in enumerate(AREAS[1:], 1):
            summary[f"{kind}{name[0]}{end}"] = nan_mean(values[:, :, area])
    return summary
