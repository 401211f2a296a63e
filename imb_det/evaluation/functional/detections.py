"""Predictions of a detector, checked and brought into COCO's form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from faster_coco_eval import mask as mask_utils

from .ground_truth import GroundTruth

__all__ = ["coco_detections", "predictions_from_samples"]


def coco_detections(
    ground_truth: GroundTruth,
    predictions: Sequence[Mapping[str, Any]],
    iou_type: str = "bbox",
) -> list[dict[str, Any]]:
    """Turn predictions into COCO annotations with rows and labels for ids.

    Args:
        ground_truth: Images and classes that the predictions refer to.
        predictions: As for :func:`~.coco_eval.evaluate_coco`.
        iou_type: ``bbox`` or ``segm``. Default: ``bbox``.

    Returns:
        One dictionary for each detection, in the order given.

    Raises:
        ValueError: As for :func:`~.coco_eval.evaluate_coco`.
    """
    if iou_type == "segm":
        _check_object_masks(ground_truth)
    rows = ground_truth.rows
    done: set[Any] = set()
    detections: list[dict[str, Any]] = []
    for prediction in predictions:
        image_id = prediction["img_id"]
        if image_id not in rows:
            raise ValueError(f"image {image_id!r} has predictions but no ground truth")
        if image_id in done:
            raise ValueError(f"image {image_id!r} has predictions twice")
        done.add(image_id)
        boxes, scores, labels = _arrays(prediction, len(ground_truth.classes))
        row = rows[image_id]
        if iou_type == "segm":
            shapes, scores = _masks(prediction, ground_truth.images[row], scores)
        else:
            sizes = boxes[:, 2:] - boxes[:, :2]
            xywh = np.hstack([boxes[:, :2], sizes]).tolist()
            areas = sizes.prod(1).tolist()
            pairs = zip(xywh, areas, strict=True)
            shapes = [{"bbox": box, "area": area} for box, area in pairs]
        numbers = zip(shapes, scores.tolist(), labels.tolist(), strict=True)
        for number, (shape, score, label) in enumerate(numbers, len(detections) + 1):
            detections.append(
                {
                    "id": number,
                    "image_id": row,
                    "category_id": label,
                    "score": score,
                    "iscrowd": 0,
                    **shape,
                }
            )
    return detections


def predictions_from_samples(samples: Sequence[Mapping[str, Any]]) -> list[dict]:
    """Read the data samples that ``tools/test.py --out`` writes.

    Args:
        samples: Dictionaries with ``img_id`` and ``pred_instances``.

    Returns:
        Predictions as :func:`~.coco_eval.evaluate_coco` takes them.

    Raises:
        ValueError: An entry without one of the two keys.
    """
    predictions = []
    for index, sample in enumerate(samples):
        if missing := [k for k in ("img_id", "pred_instances") if k not in sample]:
            raise ValueError(
                f"entry {index} of the predictions has no {missing}: it is no data "
                "sample as `tools/test.py --out` writes them"
            )
        predictions.append({"img_id": sample["img_id"], **sample["pred_instances"]})
    return predictions


def _arrays(
    prediction: Mapping[str, Any], num_classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return boxes float64 (n, 4), scores float64 (n,) and labels int64 (n,)."""
    image_id = prediction["img_id"]
    boxes = np.asarray(prediction["bboxes"], dtype=np.float64)
    scores = np.asarray(prediction["scores"], dtype=np.float64)
    labels = np.asarray(prediction["labels"], dtype=np.int64)
    if boxes.size == 0:
        boxes = boxes.reshape(0, 4)
    if boxes.shape != (len(scores), 4) or labels.shape != scores.shape:
        raise ValueError(
            f"image {image_id!r} needs boxes (n, 4), scores (n,) and labels (n,), "
            f"got shapes {boxes.shape}, {scores.shape}, {labels.shape}"
        )
    for name, values in (("scores", scores), ("bboxes", boxes)):
        if not np.isfinite(values).all():
            first = int(np.argwhere(~np.isfinite(values))[0][0])
            raise ValueError(
                f"image {image_id!r}: `{name}` of detection {first} are not finite: "
                f"{values[first]}"
            )
    if labels.size and not 0 <= labels.min() <= labels.max() < num_classes:
        raise ValueError(
            f"image {image_id!r}: labels must be 0 to {num_classes - 1}, got "
            f"{labels.min()} to {labels.max()}"
        )
    return boxes, scores, labels


def _masks(
    prediction: Mapping[str, Any], image: Mapping[str, int], scores: np.ndarray
) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Return masks with their areas, and the scores that rank them."""
    image_id, size = prediction["img_id"], [image["height"], image["width"]]
    masks = prediction.get("masks")
    if masks is None:
        raise ValueError(
            f"image {image_id!r} has predictions without masks; use metric='bbox'"
        )
    scores = np.asarray(prediction.get("mask_scores", scores), dtype=np.float64)
    if len(masks) != len(scores) or not np.isfinite(scores).all():
        raise ValueError(
            f"image {image_id!r}: one finite score for each of the {len(masks)} masks "
            f"is needed, got {scores}"
        )
    for mask in masks:
        if list(mask["size"]) != size:
            raise ValueError(
                f"image {image_id!r} is {size} (height, width), but a predicted mask "
                f"is {list(mask['size'])}"
            )
    areas = mask_utils.area(list(masks)).tolist() if len(masks) else []
    pairs = zip(masks, areas, strict=True)
    return [{"segmentation": mask, "area": float(area)} for mask, area in pairs], scores


def _check_object_masks(ground_truth: GroundTruth) -> None:
    for annotation in ground_truth.annotations:
        if "segmentation" not in annotation:
            image_id = ground_truth.image_ids[annotation["image_id"]]
            name = ground_truth.classes[annotation["category_id"]]
            raise ValueError(
                f"image {image_id!r}: an object of class '{name}' has no mask in the "
                "ground truth; use metric='bbox'"
            )
