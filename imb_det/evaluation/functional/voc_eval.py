"""Average precision by the rules of Pascal VOC as one function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmdet.evaluation.functional import average_precision
from mmdet.evaluation.functional.mean_ap import tpfp_default

from .accumulation import nan_mean
from .detections import checked_arrays
from .results import EvalResults

__all__ = ["evaluate_voc"]


def evaluate_voc(
    classes: Sequence[str],
    annotations: Sequence[Mapping[str, np.ndarray]],
    predictions: Sequence[Mapping[str, Any]],
    *,
    iou_thrs: Sequence[float] = (0.5,),
    eval_mode: str = "11points",
    use_legacy_coordinate: bool = True,
    scale_range: tuple[float, float] | None = None,
) -> EvalResults:
    """Compute average precision by VOC's rules.

    In each image the detections of a class come in the order of their scores. Each
    looks at the object it overlaps most: it is right if the overlap suffices and
    nobody took the object before, ignored if the object is difficult, else wrong.

    Args:
        classes: Names, length C.
        annotations: For each image ``bboxes`` (n, 4) as x1, y1, x2, y2, ``labels``
            (n,), and ``bboxes_ignore``, ``labels_ignore`` of difficult objects.
        predictions: For each image, in the same order, ``img_id``, ``bboxes``,
            ``scores`` and ``labels``.
        iou_thrs: Overlaps at which a detection is right. Default: (0.5,).
        eval_mode: ``11points``, the mean of the best precision at recall 0, 0.1, ...
            1, as VOC 2007 has it, or ``area``, the area under the curve, as VOC 2010
            to 2012. Default: ``11points``.
        use_legacy_coordinate: Whether a box from x1 to x2 is x2 - x1 + 1 wide, as in
            VOC's own code, rather than x2 - x1. Default: True.
        scale_range: Least and largest square root of the area of the boxes that
            count; all if None. Default: None.

    Returns:
        The figures. ``summary`` holds ``mAP``, the mean over the overlaps, and
        ``AP50`` and so on. AP of a class without an object is NaN; recall is the
        largest, mean over the overlaps. Where no class has an object, ``mAP`` is 0.

    Raises:
        ValueError: Predictions that cannot be judged; names the image.

    Source: Everingham et al., The Pascal VOC Challenge (IJCV 2010); verdicts and
    curve are computed by mmdet's functions. Equal scores keep their order here.
    """
    found = [checked_arrays(prediction, len(classes)) for prediction in predictions]
    shape = (len(iou_thrs), len(classes))
    ap, recall = np.full(shape, np.nan), np.full(shape, np.nan)
    f1, f1_score = np.full(len(classes), np.nan), np.full(len(classes), np.nan)
    objects = np.zeros(len(classes), int)
    areas = None
    if scale_range is not None:
        areas = [(scale_range[0] ** 2, scale_range[1] ** 2)]
    extra = 1.0 if use_legacy_coordinate else 0.0
    for label in range(len(classes)):
        truths, ignored, detections = [], [], []
        for image, (boxes, scores, labels) in zip(annotations, found, strict=True):
            truths.append(image["bboxes"][image["labels"] == label])
            ignored.append(image["bboxes_ignore"][image["labels_ignore"] == label])
            own = np.flatnonzero(labels == label)
            own = own[np.argsort(-scores[own], kind="stable")]
            detections.append(np.hstack([boxes[own], scores[own, None]]))
        sizes = np.concatenate(truths)
        sides = sizes[:, 2:] - sizes[:, :2] + extra
        area = sides.prod(1)
        if areas is not None:
            area = area[(area >= areas[0][0]) & (area < areas[0][1])]
        objects[label] = len(area)
        scores = np.concatenate([d[:, 4] for d in detections])
        order = np.argsort(-scores, kind="stable")
        for index, threshold in enumerate(iou_thrs):
            verdicts = [
                tpfp_default(d, t, i, threshold, areas, use_legacy_coordinate)
                for d, t, i in zip(detections, truths, ignored, strict=True)
            ]
            right, wrong = (
                np.hstack([v[kind] for v in verdicts])[0, order].cumsum(dtype=float)
                for kind in (0, 1)
            )
            if not objects[label]:
                continue
            eps = np.finfo(np.float32).eps
            recalls = right / objects[label]
            precisions = right / np.maximum(right + wrong, eps)
            ap[index, label] = average_precision(recalls, precisions, eval_mode)
            recall[index, label] = recalls.max(initial=0)
            if np.isclose(threshold, 0.5):
                f1[label], f1_score[label] = _best(
                    right, wrong, objects[label], scores[order]
                )
    by_threshold = [0.0 if np.isnan(v := nan_mean(row)) else v for row in ap]
    names = [f"AP{round(threshold * 100):02d}" for threshold in iou_thrs]
    at_half = np.flatnonzero(np.isclose(iou_thrs, 0.5))
    labels = np.concatenate([np.zeros(0, int), *(labels for _, _, labels in found)])
    return EvalResults(
        tuple(classes),
        {
            "mAP": float(np.mean(by_threshold)),
            **dict(zip(names, by_threshold, strict=True)),
        },
        ap.mean(0),
        ap[at_half[0]] if at_half.size else np.full(len(classes), np.nan),
        recall.mean(0),
        objects,
        np.bincount(labels, minlength=len(classes)),
        f1,
        f1_score,
    )


def _best(
    right: np.ndarray, wrong: np.ndarray, objects: int, scores: np.ndarray
) -> tuple[float, float]:
    """Return the largest F1, and the least score with which it is reached."""
    values = 2 * right / (right + wrong + objects)
    # Of equal scores all or none count.
    values[:-1][scores[:-1] == scores[1:]] = 0
    if not values.max(initial=0) > 0:
        return 0.0, float("nan")
    return float(values.max()), float(scores[values.argmax()])
