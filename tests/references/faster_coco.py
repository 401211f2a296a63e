"""Precision and recall of every class by faster-coco-eval, as the oracle of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from imb_det.evaluation.functional.detections import Detections
from imb_det.evaluation.functional.ground_truth import GroundTruth, is_ignored
from imb_det.evaluation.functional.masks import rle_of

IOU_THRS = np.linspace(0.5, 0.95, 10)
AREAS = ("all", "small", "medium", "large")


@dataclass(frozen=True, eq=False)
class Accumulated:
    """Precision and recall; NaN for a class without an object to find.

    Args:
        iou_thrs: Overlaps at which a detection is right, ascending, (T,).
        budgets: Numbers of detections of a class in an image that count, (M,),
            ascending.
        precision: Mean over 101 levels of recall, float64 (T, C, A, M), with A for
            :data:`AREAS`.
        recall: Highest recall, float64 (T, C, A, M).
    """

    iou_thrs: np.ndarray
    budgets: tuple[int, ...]
    precision: np.ndarray
    recall: np.ndarray


def accumulate(
    ground_truth: GroundTruth,
    detections: Detections,
    *,
    iou_thrs: Sequence[float] | np.ndarray = IOU_THRS,
    budgets: Sequence[int] | None = None,
    unjudged: np.ndarray | None = None,
) -> Accumulated:
    """Match detections to objects and accumulate, class by class.

    The images in which a class neither is nor was detected add nothing, so that the
    work grows with the detections, not with images times classes.

    Args:
        ground_truth: Images and objects; of masks where the detections have masks.
        detections: All that count; federated rules are applied before.
        iou_thrs: Overlaps at which a detection is right, ascending, in (0, 1].
        budgets: Numbers of best detections of a class in an image that count; all of
            them if None. Default: None.
        unjudged: Detections that count as right when they match an object, and not at
            all when they do not; bool (D,). None for none. Default: None.

    Returns:
        The arrays.

    Source:
        Lin et al., Microsoft COCO (2014), as coded in pycocotools. One deviation:
        annotations count from 1, because the matcher takes id 0 for none.
    """
    num_classes = len(ground_truth.classes)
    objects: list[list[dict[str, Any]]] = [[] for _ in range(num_classes)]
    for annotation in ground_truth.annotations:
        objects[annotation["category_id"]].append(annotation)
    thresholds = np.asarray(iou_thrs, dtype=float)
    limits = tuple(sorted(budgets)) if budgets else (max(len(detections), 1),)
    shape = (len(thresholds), num_classes, len(AREAS), len(limits))
    precision, recall = np.full(shape, np.nan), np.full(shape, np.nan)
    order = np.argsort(detections.label, kind="stable")
    ends = np.searchsorted(detections.label[order], np.arange(num_classes + 1))
    for label in range(num_classes):
        # A class without an object to find has no precision.
        if all(is_ignored(annotation) for annotation in objects[label]):
            continue
        own = order[ends[label] : ends[label + 1]]
        precision[:, label], recall[:, label] = _class_figures(
            ground_truth,
            objects[label],
            detections.take(own),
            None if unjudged is None else unjudged[own],
            thresholds,
            limits,
        )
    return Accumulated(thresholds, limits, precision, recall)


def _class_figures(
    ground_truth: GroundTruth,
    objects: Sequence[Mapping[str, Any]],
    detections: Detections,
    unjudged: np.ndarray | None,
    thresholds: np.ndarray,
    limits: tuple[int, ...],
) -> tuple[np.ndarray, np.ndarray]:
    """Return precision and recall of one class, both (T, A, M)."""
    most = int(np.bincount(detections.image).max()) if len(detections) else 1
    # The matcher reserves memory for its budgets; beyond `most` they are all alike.
    used = sorted({min(limit, most) for limit in limits})
    # The evaluator adds to the annotations and wants all of one class: copies.
    truths = [{**annotation, "category_id": 0} for annotation in objects]
    for truth in truths:
        # It knows crowds alone, but ignores what is in none of its ranges of areas.
        if is_ignored(truth) and not truth["iscrowd"]:
            truth["area"] = -1
    is_mask = detections.mask is not None
    rows = {annotation["image_id"] for annotation in objects}
    rows.update(detections.image.tolist())
    content = {
        "images": [ground_truth.images[row] for row in sorted(rows)],
        "categories": [{"id": 0, "name": "object"}],
    }
    evaluator = COCOeval_faster(
        COCO({**content, "annotations": truths}),
        COCO({**content, "annotations": _entries(ground_truth, detections, unjudged)}),
        "segm" if is_mask else "bbox",
        print_function=_quiet,
    )
    evaluator.params.maxDets = used
    evaluator.params.iouThrs = thresholds
    evaluator.evaluate()
    evaluator.accumulate()
    # precision: (T, recall level, class, A, M), recall: the same without the second
    # axis; -1 where there is no object.
    found = [evaluator.eval["precision"][:, :, 0], evaluator.eval["recall"][:, 0]]
    both = [np.where(values > -1, values, np.nan) for values in found]
    places = [used.index(min(limit, most)) for limit in limits]
    return both[0].mean(1)[..., places], both[1][..., places]


def _entries(
    ground_truth: GroundTruth, detections: Detections, unjudged: np.ndarray | None
) -> list[dict[str, Any]]:
    """Write detections of one class as COCO annotations."""
    images = detections.image.tolist()
    if detections.mask is None:
        shapes = [{"bbox": box} for box in detections.xywh.tolist()]
    else:
        pairs = zip(detections.mask, images, strict=True)
        shapes = [
            {"segmentation": rle_of(counts, ground_truth.images[row])}
            for counts, row in pairs
        ]
    marks = np.zeros(len(images), bool) if unjudged is None else unjudged
    columns = (images, detections.score, detections.area, marks)
    numbers = zip(
        *(np.asarray(column).tolist() for column in columns), shapes, strict=True
    )
    return [
        {
            "id": number,
            "image_id": row,
            "category_id": 0,
            "score": score,
            "area": area,
            "iscrowd": 0,
            "lvis_mark": mark,
            **shape,
        }
        for number, (row, score, area, mark, shape) in enumerate(numbers, 1)
    ]


def _quiet(*_: Any) -> None:
    """Take the place of the evaluator's printing."""
