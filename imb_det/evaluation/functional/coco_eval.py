"""COCO's average precision as one function, with every figure for each class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from .detections import coco_detections
from .ground_truth import GroundTruth

__all__ = ["CocoResults", "evaluate_coco", "nan_mean"]

#: Position of COCO's area ranges in the accumulated arrays, by suffix of the figure.
_AREAS = {"": 0, "_s": 1, "_m": 2, "_l": 3}


@dataclass(frozen=True, eq=False)
class CocoResults:
    """Figures of one evaluation; NaN where there is no object to find.

    Args:
        classes: Names, length C.
        summary: ``mAP``, ``mAP_50``, ``mAP_75``, ``mAP_s``, ``mAP_m``, ``mAP_l``,
            ``AR@n`` for each n of ``max_dets``, ``AR_s@n``, ``AR_m@n`` and ``AR_l@n``
            for the largest n; each a number from 0 to 1.
        ap: ``mAP`` of each class, float64 (C,); their mean is ``mAP``.
        ap50: ``mAP_50`` of each class, float64 (C,).
        recall: Recall of each class over the same thresholds and with the same
            number of detections as ``ap``, float64 (C,).
        object_count: Objects to find, crowds left out; int64 (C,).
        detection_count: Detections given; int64 (C,).
    """

    classes: tuple[str, ...]
    summary: dict[str, float]
    ap: np.ndarray
    ap50: np.ndarray
    recall: np.ndarray
    object_count: np.ndarray
    detection_count: np.ndarray

    def group_summary(self, groups: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Average over groups of classes, as ``APr``, ``APr_50``, ``APc`` and so on.

        Args:
            groups: Class indices by the name of the group, for example of
                :func:`~imb_det.statistics.frequency_groups.frequency_groups`.

        Returns:
            Two figures for each group, keyed by the first letter of its name. A group
            in which no class has an object to find is absent.
        """
        figures = {}
        for name, members in groups.items():
            if np.isfinite(self.ap[members]).any():
                figures[f"AP{name[0]}"] = nan_mean(self.ap[members])
                figures[f"AP{name[0]}_50"] = nan_mean(self.ap50[members])
        return figures


def evaluate_coco(
    ground_truth: GroundTruth,
    predictions: Sequence[Mapping[str, Any]],
    iou_type: str = "bbox",
    *,
    iou_thrs: Sequence[float] | None = None,
    max_dets: Sequence[int] = (100, 300, 1000),
    class_agnostic: bool = False,
) -> CocoResults:
    """Compute average precision and recall by COCO's rules.

    As in mmdet, ``mAP`` counts up to 100 detections of a class in an image, and the
    figures at one threshold or for one size as many as the largest of ``max_dets``.
    The figures of a class count as many as those that they are a part of.

    Args:
        ground_truth: All images to judge; one without prediction is an image in which
            nothing was found.
        predictions: For each image ``img_id``, ``bboxes`` (n, 4) as x1, y1, x2, y2 in
            pixels of the original image, ``scores`` (n,), ``labels`` (n,) from 0 to
            C - 1; for masks also ``masks`` (n RLEs) and perhaps ``mask_scores`` (n,).
        iou_type: ``bbox`` or ``segm``. Default: ``bbox``.
        iou_thrs: Overlaps at which a detection is right, ascending, in (0, 1]; 0.5,
            0.55, ... 0.95 if None. Default: None.
        max_dets: Numbers of best detections of a class in an image that count.
            Default: (100, 300, 1000).
        class_agnostic: Whether all classes are one, for proposals. Default: False.

    Returns:
        The figures.

    Raises:
        ValueError: A prediction for an unknown image, two for one image, arrays that
            do not fit together, unknown labels, NaN or infinite numbers, or masks that
            are missing or of the wrong size; the message names the image.

    Source:
        Lin et al., Microsoft COCO (2014), as coded in pycocotools. Accumulation by
        faster-coco-eval. One deviation: annotations count from 1, because the matcher
        of both takes an annotation with id 0 for none.
    """
    if iou_type not in ("bbox", "segm"):
        raise ValueError(f"`iou_type` must be 'bbox' or 'segm', got {iou_type!r}")
    budgets = sorted({int(n) for n in max_dets})
    if not budgets or budgets[0] < 1:
        raise ValueError(f"`max_dets` must hold numbers >= 1, got {max_dets!r}")
    classes = ("object",) if class_agnostic else ground_truth.classes
    # The matcher adds to the annotations, so it gets copies.
    objects = [{**annotation} for annotation in ground_truth.annotations]
    detections = coco_detections(ground_truth, predictions, iou_type)
    if class_agnostic:
        for found in (objects, detections):
            # The order of labels decides between equal scores, as in pycocotools.
            found.sort(key=lambda annotation: annotation["category_id"])
            for annotation in found:
                annotation["category_id"] = 0
    content = {
        "images": ground_truth.images,
        "categories": [{"id": i, "name": name} for i, name in enumerate(classes)],
    }
    evaluator = COCOeval_faster(
        COCO({**content, "annotations": objects}),
        COCO({**content, "annotations": detections}),
        iou_type,
        print_function=_quiet,
    )
    evaluator.params.maxDets = budgets
    if iou_thrs is not None:
        evaluator.params.iouThrs = np.asarray(iou_thrs, dtype=float)
    evaluator.evaluate()
    evaluator.accumulate()
    return _results(
        classes,
        evaluator.eval,
        evaluator.params.iouThrs,
        budgets,
        _count((o for o in objects if not o["iscrowd"]), len(classes)),
        _count(detections, len(classes)),
    )


def nan_mean(values: np.ndarray) -> float:
    """Mean of the numbers that are not NaN, NaN if there is none."""
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float("nan")


def _quiet(*_: Any) -> None:
    """Take the place of the evaluator's printing."""


def _count(annotations: Iterable[Mapping[str, Any]], num_classes: int) -> np.ndarray:
    labels = [annotation["category_id"] for annotation in annotations]
    return np.bincount(np.asarray(labels, int), minlength=num_classes)


def _results(
    classes: tuple[str, ...],
    accumulated: Mapping[str, np.ndarray],
    iou_thrs: np.ndarray,
    budgets: list[int],
    object_count: np.ndarray,
    detection_count: np.ndarray,
) -> CocoResults:
    # precision: (threshold, recall level, class, area range, budget), -1 for no object
    # recall: the same without the second axis
    precision = np.where(
        accumulated["precision"] > -1, accumulated["precision"], np.nan
    ).mean(1)
    recall = np.where(accumulated["recall"] > -1, accumulated["recall"], np.nan)
    last = len(budgets) - 1
    main = budgets.index(100) if 100 in budgets else last

    def at(threshold: float) -> np.ndarray:
        """Return AP of each class at one threshold, NaN where it is not evaluated."""
        row = np.flatnonzero(np.isclose(iou_thrs, threshold))
        if not row.size:
            return np.full(len(classes), np.nan)
        return np.asarray(precision[row[0], :, 0, last])

    ap, ap50 = precision[:, :, 0, main].mean(0), at(0.5)
    summary = {
        "mAP": nan_mean(ap),
        "mAP_50": nan_mean(ap50),
        "mAP_75": nan_mean(at(0.75)),
    }
    for suffix, area in _AREAS.items():
        if suffix:
            summary[f"mAP{suffix}"] = nan_mean(precision[:, :, area, last])
    for index, budget in enumerate(budgets):
        summary[f"AR@{budget}"] = nan_mean(recall[:, :, 0, index])
    for suffix, area in _AREAS.items():
        if suffix:
            summary[f"AR{suffix}@{budgets[-1]}"] = nan_mean(recall[:, :, area, last])
    return CocoResults(
        classes,
        summary,
        ap,
        ap50,
        recall[:, :, 0, main].mean(0),
        object_count,
        detection_count,
    )
