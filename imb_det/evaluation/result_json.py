"""Entries of a result file of COCO or LVIS, brought into predictions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as mask_utils

from imb_det.core import is_number

from .functional.ground_truth import GroundTruth
from .functional.run_lengths import EncodedMasks, MaskError, checked_masks

__all__ = ["predictions_of_entries"]


def predictions_of_entries(
    entries: Sequence[Mapping[str, Any]],
    ground_truth: GroundTruth,
    labels: Mapping[Any, int],
    with_masks: bool,
) -> list[dict[str, Any]]:
    """Check the entries of a result file and sort them by image.

    Args:
        entries: ``image_id``, ``category_id``, ``score``, and ``bbox`` (x, y, w, h) or
            ``segmentation`` (run lengths) or both, of each detection.
        ground_truth: Images that they refer to.
        labels: Label of each category id.
        with_masks: Whether masks are read.

    Returns:
        Predictions of each image with a detection, as ``Detections.from_predictions``
        takes them.

    Raises:
        ValueError: An entry that lacks a key, is of an unknown image or category, or
            holds no numbers or no mask; names the entry.
    """
    rows = ground_truth.rows
    of_image: dict[Any, list[int]] = {}
    scores, numbers, boxes, masked = [], [], [], []
    for index, entry in enumerate(entries):
        try:
            image_id, label, score = _keys(entry, rows, labels)
            boxes.append(_bbox(entry) if "bbox" in entry else [0.0] * 4)
            if with_masks or "bbox" not in entry:
                _check_has_mask(entry)
                masked.append(index)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"entry {index}: {error}") from error
        of_image.setdefault(image_id, []).append(index)
        scores.append(score)
        numbers.append(label)
    sides = np.asarray(boxes, np.float64).reshape(-1, 4)
    counts, areas = _read_masks(entries, masked, sides)
    sides[:, 2:] += sides[:, :2]
    ranks, classes = np.asarray(scores, np.float64), np.asarray(numbers, np.int64)
    predictions = []
    for image_id, own in of_image.items():
        prediction = {
            "img_id": image_id,
            "bboxes": sides[own],
            "scores": ranks[own],
            "labels": classes[own],
        }
        if with_masks:
            image = ground_truth.images[rows[image_id]]
            size = (image["height"], image["width"])
            _check_sizes(entries, own, size)
            prediction["masks"] = EncodedMasks(size, counts[own], areas[own])
        predictions.append(prediction)
    return predictions


def _read_masks(
    entries: Sequence[Mapping[str, Any]], masked: Sequence[int], boxes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Check masks, and fill in the boxes of entries that have only a mask.

    Args:
        entries: All entries, n.
        masked: Those of which the mask is read.
        boxes: As x, y, width and height, (n, 4); changed in place.

    Returns:
        Run lengths and pixels of each mask, (n,).
    """
    counts, areas = np.empty(len(entries), object), np.zeros(len(entries))
    masks = [entries[index]["segmentation"] for index in masked]
    try:
        counts[masked], areas[masked] = checked_masks(masks)
    except MaskError as error:
        where = f"entry {masked[error.number]}"
        raise ValueError(f"{where}: `segmentation`: {error}") from error
    for index, mask in zip(masked, masks, strict=True):
        if "bbox" not in entries[index]:
            rle = {"size": list(mask["size"]), "counts": counts[index]}
            boxes[index] = mask_utils.toBbox(rle)
    return counts, areas


def _check_sizes(
    entries: Sequence[Mapping[str, Any]], own: Sequence[int], size: tuple[int, int]
) -> None:
    for index in own:
        if tuple(found := entries[index]["segmentation"]["size"]) != size:
            raise ValueError(
                f"entry {index}: image {entries[index]['image_id']!r} is {list(size)} "
                f"(height, width), but the mask is {list(found)}"
            )


def _keys(
    entry: Mapping[str, Any], rows: Mapping[Any, int], labels: Mapping[Any, int]
) -> tuple[Any, int, float]:
    """Return image id, label and score of an entry."""
    if missing := [k for k in ("image_id", "category_id", "score") if k not in entry]:
        raise ValueError(f"it has no {missing}")
    image_id, category, score = (
        entry[key] for key in ("image_id", "category_id", "score")
    )
    for kind, key, table in (
        ("image", image_id, rows),
        ("category", category, labels),
    ):
        if isinstance(key, bool) or not isinstance(key, (int, str)) or key not in table:
            raise ValueError(
                f"the annotation file has no {kind} {key!r}"
                + " among the classes in use" * (kind == "category")
            )
    if not _is_finite(score):
        raise ValueError(f"`score` must be a finite number, got {score!r}")
    return image_id, labels[category], float(score)


def _bbox(entry: Mapping[str, Any]) -> list[float]:
    """Return x, y, w, h."""
    bbox = entry["bbox"]
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(_is_finite, bbox)):
        raise ValueError(f"`bbox` must be four numbers (x, y, w, h), got {bbox!r}")
    return bbox


def _check_has_mask(entry: Mapping[str, Any]) -> None:
    if "segmentation" not in entry:
        needed = "`segmentation`" if "bbox" in entry else "`bbox` or `segmentation`"
        raise ValueError(f"it has no {needed}")


def _is_finite(value: Any) -> bool:
    return is_number(value) and math.isfinite(value)
