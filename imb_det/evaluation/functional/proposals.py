"""Recall of proposals, which have no classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .detections import Detections
from .figures import check_budgets
from .ground_truth import GroundTruth
from .matches import RIGHT, ranks_in
from .matching import IOU_THRS, judge
from .objects import AREAS

__all__ = ["proposal_recall"]


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
    check_budgets("budgets", budgets)
    # Of equal overlaps the object of the largest label is taken.
    annotations = sorted(ground_truth.annotations, key=lambda a: a["category_id"])
    objects = [{**annotation, "category_id": 0} for annotation in annotations]
    judged = judge(
        replace(ground_truth, classes=("object",), annotations=objects),
        detections.without_classes(),
        iou_thrs=iou_thrs,
        max_dets=max(budgets),
    )
    recall = np.full((len(AREAS), len(budgets)), np.nan)
    # The best of an image come first, whatever stands between them.
    rank = ranks_in(judged.whole.image)
    for row, matches in enumerate(judged.by_area):
        if not len(matches.object_image):
            continue
        right = matches.verdict == RIGHT
        for column, budget in enumerate(budgets):
            share = right[rank < budget].sum(0) / len(matches.object_image)
            recall[row, column] = share.mean()
    return recall
