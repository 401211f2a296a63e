"""COCO's average precision as one function, with every figure for each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .accumulation import AREAS, IOU_THRS, Accumulated, accumulate, nan_mean
from .detections import Detections
from .ground_truth import GroundTruth
from .matching import match
from .precision_recall import best_f1
from .results import EvalResults

__all__ = ["evaluate_coco"]


def evaluate_coco(
    ground_truth: GroundTruth,
    predictions: Sequence[Mapping[str, Any]] | Detections,
    iou_type: str = "bbox",
    *,
    iou_thrs: Sequence[float] | None = None,
    max_dets: Sequence[int] = (100, 300, 1000),
) -> EvalResults:
    """Compute average precision and recall by COCO's rules.

    As in mmdet, ``mAP`` counts up to 100 detections of a class in an image, and the
    figures at one threshold or for one size as many as the largest of ``max_dets``.
    The figures of a class count as many as those that they are a part of.

    Args:
        ground_truth: All images to judge; one without prediction is an image in which
            nothing was found.
        predictions: As for :meth:`Detections.from_predictions`, or its result.
        iou_type: ``bbox`` or ``segm``. Default: ``bbox``.
        iou_thrs: Overlaps at which a detection is right, ascending, in (0, 1]; 0.5,
            0.55, ... 0.95 if None. Default: None.
        max_dets: Numbers of best detections of a class in an image that count.
            Default: (100, 300, 1000).

    Returns:
        The figures. ``summary`` holds ``mAP``, ``mAP_50``, ``mAP_75``, ``mAP_s``,
        ``mAP_m``, ``mAP_l``, ``AR@n`` for each n of ``max_dets``, and ``AR_s@n``,
        ``AR_m@n``, ``AR_l@n`` for the largest n.

    Raises:
        ValueError: Predictions that cannot be judged, see
            :meth:`Detections.from_predictions`; the message names the image.

    Source:
        Lin et al., Microsoft COCO (2014), see :func:`.accumulation.accumulate`.
    """
    budgets = sorted({int(n) for n in max_dets})
    if not budgets or budgets[0] < 1:
        raise ValueError(f"`max_dets` must hold numbers >= 1, got {max_dets!r}")
    if not isinstance(predictions, Detections):
        predictions = Detections.from_predictions(ground_truth, predictions, iou_type)
    found = accumulate(
        ground_truth,
        predictions,
        iou_thrs=IOU_THRS if iou_thrs is None else iou_thrs,
        budgets=budgets,
    )
    main = budgets.index(100) if 100 in budgets else len(budgets) - 1
    matches = match(ground_truth, predictions, iou_thrs=[0.5], max_dets=budgets[main])
    return EvalResults(
        ground_truth.classes,
        _summary(found, main),
        found.precision[:, :, 0, main].mean(0),
        found.at(0.5),
        found.recall[:, :, 0, main].mean(0),
        ground_truth.object_count,
        np.bincount(predictions.label, minlength=len(ground_truth.classes)),
        *best_f1(matches),
    )


def _summary(found: Accumulated, main: int) -> dict[str, float]:
    """Return the figures under COCO's names; ``main`` is the budget of ``mAP``."""
    summary = {
        "mAP": nan_mean(found.precision[:, :, 0, main].mean(0)),
        "mAP_50": nan_mean(found.at(0.5)),
        "mAP_75": nan_mean(found.at(0.75)),
    }
    for area, name in enumerate(AREAS):
        if area:
            summary[f"mAP_{name[0]}"] = nan_mean(found.precision[:, :, area, -1])
    for index, budget in enumerate(found.budgets):
        summary[f"AR@{budget}"] = nan_mean(found.recall[:, :, 0, index])
    for area, name in enumerate(AREAS):
        if area:
            key = f"AR_{name[0]}@{found.budgets[-1]}"
            summary[key] = nan_mean(found.recall[:, :, area, -1])
    return summary
