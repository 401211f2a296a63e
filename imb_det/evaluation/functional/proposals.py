"""Recall of proposals, which have no classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .accumulation import AREAS, IOU_THRS
from .detections import Detections
from .ground_truth import GroundTruth, is_ignored
from .matching import RIGHT, match

__all__ = ["proposal_recall"]

#: COCO's ends of the ranges of areas, for :data:`AREAS`.
_ENDS = {
    "all": (0, 1e10),
    "small": (0, 32**2),
    "medium": (32**2, 96**2),
    "large": (96**2, 1e10),
}


def proposal_recall(
    ground_truth: GroundTruth,
    detections: Detections,
    budgets: Sequence[int],
    iou_thrs: Sequence[float] | np.ndarray = IOU_THRS,
) -> np.ndarray:
    """Share of the objects that the best boxes of each image find.

    Args:
        ground_truth: Images and objects; their classes do not matter.
        detections: Boxes; of equal scores those of the lowest label come first.
        budgets: Numbers of best boxes of an image that count, each >= 1, (M,).
        iou_thrs: Overlaps at which an object is found, in (0, 1], (T,).

    Returns:
        Mean over the overlaps, float64 (A, M), with A for COCO's sizes of objects,
        all, small, medium and large; NaN without an object of the size.

    Raises:
        ValueError: A budget below 1.
    """
    if min(budgets, default=0) < 1:
        raise ValueError(f"`budgets` must hold numbers >= 1, got {budgets!r}")
    found = detections.without_classes()
    annotations = sorted(ground_truth.annotations, key=lambda a: a["category_id"])
    recall = np.full((len(AREAS), len(budgets)), np.nan)
    for row, name in enumerate(AREAS):
        low, high = _ENDS[name]
        objects = [
            {
                **annotation,
                "category_id": 0,
                "ignore": is_ignored(annotation)
                or not low <= annotation["area"] <= high,
            }
            for annotation in annotations
        ]
        truth = replace(ground_truth, classes=("object",), annotations=objects)
        matches = match(truth, found, iou_thrs=iou_thrs, max_dets=max(budgets))
        if not len(matches.object_image):
            continue
        # The best of an image come first, whatever stands between them.
        order = np.argsort(matches.image, kind="stable")
        image = matches.image[order]
        rank = np.arange(len(order)) - np.searchsorted(image, image)
        right = matches.verdict[order] == RIGHT
        for column, budget in enumerate(budgets):
            share = right[rank < budget].sum(0) / len(matches.object_image)
            recall[row, column] = share.mean()
    return recall
