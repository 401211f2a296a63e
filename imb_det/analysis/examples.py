"""Images that show what a detector finds, what it misses and what it invents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation.functional import GroundTruth

__all__ = ["Example", "make_example", "pick_images"]


@dataclass(frozen=True)
class Example:
    """One image with its objects and the detections above a score.

    Args:
        image: Path of the image.
        objects: Boxes to find (x1, y1, x2, y2), float64 (G, 4); crowds left out.
        object_labels: int64 (G,).
        is_found: Whether a detection has the object, bool (G,).
        boxes: Detections, best first, float64 (D, 4).
        labels: int64 (D,).
        scores: float64 (D,).
        is_right: Whether the detection has an object that no better one has, bool (D,).
    """

    image: Path
    objects: np.ndarray
    object_labels: np.ndarray
    is_found: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    is_right: np.ndarray


def pick_images(
    ground_truth: GroundTruth,
    image_count: np.ndarray | None = None,
    num_images: int = 6,
) -> list[int]:
    """Choose images: half for the rarest classes, half spread over the set.

    Args:
        ground_truth: Images to choose from.
        image_count: Training images of each class, (C,); None to spread all images.
        num_images: Images wanted, >= 1. Default: 6.

    Returns:
        Rows of images with objects, each once: those of rare classes first.
    """
    by_class: dict[int, list[int]] = {}
    for annotation in ground_truth.annotations:
        if not annotation["iscrowd"]:
            by_class.setdefault(annotation["category_id"], []).append(
                annotation["image_id"]
            )
    chosen: list[int] = []
    if image_count is not None:
        for label in sorted(by_class, key=lambda label: (image_count[label], label)):
            fresh = [row for row in by_class[label] if row not in chosen]
            if fresh and len(chosen) < (num_images + 1) // 2:
                chosen.append(fresh[0])
    rest = sorted({row for rows in by_class.values() for row in rows} - set(chosen))
    wanted = min(num_images - len(chosen), len(rest))
    return chosen + [
        rest[(2 * i + 1) * len(rest) // (2 * wanted)] for i in range(wanted)
    ]


def make_example(
    ground_truth: GroundTruth,
    row: int,
    image: str | Path,
    prediction: Mapping[str, Any] | None,
    score_thr: float = 0.3,
    iou_thr: float = 0.5,
) -> Example:
    """Match the detections of one image with its objects, best score first.

    Args:
        ground_truth: Ground truth that holds the image.
        row: Row of the image in it.
        image: Path of the image.
        prediction: ``bboxes``, ``scores``, ``labels``; None for no detection.
        score_thr: Least score of a detection that is kept, 0 to 1. Default: 0.3.
        iou_thr: Least overlap of a right detection, 0 to 1. Default: 0.5.

    Returns:
        The image with both sides matched.
    """
    own = [a for a in ground_truth.annotations if a["image_id"] == row]
    own = [a for a in own if not a["iscrowd"]]
    objects = np.array([a["bbox"] for a in own], dtype=np.float64).reshape(-1, 4)
    objects[:, 2:] += objects[:, :2]
    object_labels = np.array([a["category_id"] for a in own], dtype=np.int64)
    if prediction is None:
        prediction = {"bboxes": [], "scores": [], "labels": []}
    scores = np.asarray(prediction["scores"], dtype=np.float64)
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] >= score_thr]
    boxes = np.asarray(prediction["bboxes"], dtype=np.float64).reshape(-1, 4)[order]
    labels = np.asarray(prediction["labels"], dtype=np.int64)[order]
    is_found = np.zeros(len(objects), dtype=bool)
    is_right = np.zeros(len(boxes), dtype=bool)
    for index, overlaps in enumerate(_box_iou(boxes, objects)):
        free = ~is_found & (object_labels == labels[index]) & (overlaps >= iou_thr)
        if free.any():
            is_found[int(np.argmax(np.where(free, overlaps, -1)))] = True
            is_right[index] = True
    return Example(
        Path(image),
        objects,
        object_labels,
        is_found,
        boxes,
        labels,
        scores[order],
        is_right,
    )


def _box_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Overlap of boxes (N, 4) with others (M, 4), as x1, y1, x2, y2; (N, M)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = (high - low).clip(min=0).prod(-1)
    areas = [(group[:, 2:] - group[:, :2]).prod(-1) for group in (boxes, others)]
    union = areas[0][:, None] + areas[1][None] - shared
    return np.asarray(shared / np.maximum(union, np.finfo(float).tiny))
