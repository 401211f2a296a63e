"""Average precision by the rules of Pascal VOC as one function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .accumulation import nan_mean
from .detections import checked_arrays
from .matching import IGNORED, RIGHT, WRONG, Matches, pairs_of
from .precision_recall import best_f1
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
        ValueError: Another ``eval_mode``, or predictions that cannot be judged; names
            the image.

    Source: Everingham et al., The Pascal VOC Challenge (IJCV 2010), as coded in mmdet.
    Deviations: equal scores keep their order, figures are of double precision.
    """
    if eval_mode not in ("11points", "area"):
        raise ValueError(f"`eval_mode` must be '11points' or 'area', got {eval_mode!r}")
    matches = _match(
        len(classes),
        annotations,
        [checked_arrays(prediction, len(classes)) for prediction in predictions],
        np.asarray(iou_thrs, float),
        1.0 if use_legacy_coordinate else 0.0,
        (-np.inf, np.inf)
        if scale_range is None
        else (scale_range[0] ** 2, scale_range[1] ** 2),
    )
    objects = matches.object_count
    shape = (len(iou_thrs), len(classes))
    ap, recall = np.full(shape, np.nan), np.full(shape, np.nan)
    for label in np.flatnonzero(objects).tolist():
        for index, verdict in enumerate(matches.of_class(label).verdict.T):
            right = (verdict == RIGHT).cumsum()
            wrong = (verdict == WRONG).cumsum()
            recalls = right / objects[label]
            precisions = right / np.maximum(right + wrong, np.finfo(float).eps)
            ap[index, label] = _average(recalls, precisions, eval_mode)
            recall[index, label] = recalls.max(initial=0)
    by_threshold = [0.0 if np.isnan(v := nan_mean(row)) else v for row in ap]
    names = [f"AP{int(threshold * 100):02d}" for threshold in iou_thrs]
    unknown = np.full(len(classes), np.nan)
    at_half = np.flatnonzero(np.isclose(iou_thrs, 0.5)).tolist()
    return EvalResults(
        tuple(classes),
        {
            "mAP": float(np.mean(by_threshold)),
            **dict(zip(names, by_threshold, strict=True)),
        },
        ap.mean(0),
        ap[at_half[0]] if at_half else unknown,
        recall.mean(0),
        objects,
        np.bincount(matches.label, minlength=len(classes)),
        *(best_f1(matches, at_half[0]) if at_half else (unknown, unknown)),
    )


def _average(recalls: np.ndarray, precisions: np.ndarray, eval_mode: str) -> float:
    """Average the best precision from a recall on, over the recall."""
    best = np.maximum.accumulate(precisions[::-1])[::-1]
    if eval_mode == "area":
        return float(np.diff(recalls, prepend=0) @ best)
    # These floats decide for recalls of 0.3 and so on; mmdet has the same.
    places = np.searchsorted(recalls, np.arange(0, 1 + 1e-3, 0.1))
    return float(np.append(best, 0)[places].sum() / len(places))


def _match(
    num_classes: int,
    annotations: Sequence[Mapping[str, np.ndarray]],
    found: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    iou_thrs: np.ndarray,
    extra: float,
    areas: tuple[float, float],
) -> Matches:
    """Judge all detections of all classes at once, by the rules above.

    Args:
        num_classes: C.
        annotations: As for :func:`evaluate_voc`.
        found: Boxes, scores and labels of each image.
        iou_thrs: Overlaps, (T,).
        extra: What a side is longer than the difference of its ends.
        areas: Least area and end of the areas of boxes that count.
    """
    num_images = len(annotations)
    kinds = [(i["bboxes"], i["bboxes_ignore"]) for i in annotations]
    boxes = _joined([part for pair in kinds for part in pair], (0, 4), np.float32)
    sizes = np.array([len(part) for pair in kinds for part in pair], int)
    images = np.repeat(np.arange(2 * num_images) // 2, sizes)
    difficult = np.repeat(np.arange(2 * num_images) % 2 == 1, sizes)
    pairs = [(i["labels"], i["labels_ignore"]) for i in annotations]
    labels = _joined([part for pair in pairs for part in pair], (0,), np.int64)
    area = _area(boxes, extra)
    ignored = difficult | ~((area >= areas[0]) & (area < areas[1]))

    own_boxes = _joined([part[0] for part in found], (0, 4), np.float32)
    score = _joined([part[1] for part in found], (0,), np.float64)
    label = _joined([part[2] for part in found], (0,), np.int64)
    image = np.repeat(np.arange(num_images), [len(part[1]) for part in found])
    order = np.lexsort((-score, label))  # equal scores in the order of the images
    own_boxes, score, label, image = (
        values[order] for values in (own_boxes, score, label, image)
    )
    # One pair for each detection and each object of its image and class.
    group = labels * num_images + images
    by_group = np.argsort(group, kind="stable")
    ours, theirs, size = pairs_of(label * num_images + image, group, by_group)
    rivals = np.flatnonzero(size)
    heads = (np.cumsum(size) - size)[rivals]
    overlap = _overlap(own_boxes[ours], boxes[theirs], extra)
    best = np.full(len(label), -1.0, np.float32)
    target = np.zeros(len(label), np.int64)
    if len(ours):
        best[rivals] = np.maximum.reduceat(overlap, heads)
        place = np.where(overlap == best[ours], np.arange(len(ours)), len(ours))
        target[rivals] = theirs[np.minimum.reduceat(place, heads)]

    counts = _area(own_boxes, extra)
    counts = (counts >= areas[0]) & (counts < areas[1])
    verdict = np.full((len(label), len(iou_thrs)), IGNORED, np.int8)
    for index, threshold in enumerate(iou_thrs):
        hit = best >= threshold
        verdict[~hit & counts, index] = WRONG
        hit[hit] = ~ignored[target[hit]]
        rows = np.flatnonzero(hit)
        verdict[rows, index] = WRONG
        # The best score comes first and takes the object.
        _, earliest = np.unique(target[rows], return_index=True)
        verdict[rows[earliest], index] = RIGHT
    return Matches(
        image,
        label,
        score,
        verdict,
        images[~ignored],
        labels[~ignored],
        num_images,
        num_classes,
    )


def _joined(
    parts: Sequence[np.ndarray], empty: tuple[int, ...], dtype: type
) -> np.ndarray:
    return np.concatenate([np.zeros(empty, dtype), *parts]).astype(dtype)


def _area(boxes: np.ndarray, extra: float) -> np.ndarray:
    return np.prod(boxes[:, 2:] - boxes[:, :2] + np.float32(extra), axis=1)


def _overlap(boxes: np.ndarray, others: np.ndarray, extra: float) -> np.ndarray:
    """Return the overlap of each pair, in single precision as mmdet has it, (P,)."""
    low = np.maximum(boxes[:, :2], others[:, :2])
    high = np.minimum(boxes[:, 2:], others[:, 2:])
    shared = np.maximum(high - low + np.float32(extra), 0).prod(1)
    union = _area(boxes, extra) + _area(others, extra) - shared
    return shared / np.maximum(union, np.float32(1e-6))
