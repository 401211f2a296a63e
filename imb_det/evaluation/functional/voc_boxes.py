"""Boxes as Pascal VOC measures them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .detections import Detections
from .ground_truth import GroundTruth
from .prediction_arrays import checked_arrays

__all__ = ["VocBoxes", "voc_detections", "voc_ground_truth"]


@dataclass(frozen=True, eq=False)
class VocBoxes:
    """Boxes of all images, in single precision, as mmdet has them.

    Args:
        image: Row of the image of each, int64 (n,).
        label: Its class index, int64 (n,).
        corners: x1, y1, x2, y2, float32 (n, 4).
        difficult: Whether it is nothing to find, bool (n,).
        extra: What a side is longer than the difference of its ends.
        row: Of each among the annotations, or the detections, int64 (n,).
    """

    image: np.ndarray
    label: np.ndarray
    corners: np.ndarray
    difficult: np.ndarray
    extra: np.float32
    row: np.ndarray

    @classmethod
    def of_objects(cls, ground_truth: GroundTruth, legacy: bool) -> VocBoxes:
        """Read objects: in each image those to find come before difficult ones.

        Args:
            ground_truth: Images and objects, difficult ones as crowds.
            legacy: Whether a side is one pixel longer.
        """
        own = ground_truth.annotations
        image = np.asarray([a["image_id"] for a in own], np.int64)
        difficult = np.asarray([a["iscrowd"] for a in own], bool)
        order = np.lexsort((difficult, image))
        boxes = np.asarray([a["bbox"] for a in own], float).reshape(-1, 4)[order]
        boxes[:, 2:] += boxes[:, :2]
        label = np.asarray([a["category_id"] for a in own], np.int64)[order]
        return cls(
            image[order],
            label,
            boxes.astype(np.float32),
            difficult[order],
            np.float32(legacy),
            order,
        )

    @classmethod
    def of_detections(cls, detections: Detections, legacy: bool) -> VocBoxes:
        """Read detections."""
        return cls(
            detections.image.astype(np.int64),
            detections.label.astype(np.int64),
            detections.bbox.astype(np.float32),
            np.zeros(len(detections), bool),
            np.float32(legacy),
            np.arange(len(detections)),
        )

    @property
    def area(self) -> np.ndarray:
        """Float32 (n,)."""
        return _area(self.corners, self.extra)

    def is_between(self, low: float, high: float) -> np.ndarray:
        """Tell which areas are from ``low`` to below ``high``, bool (n,)."""
        return np.asarray((self.area >= low) & (self.area < high))

    def overlaps(
        self, ours: np.ndarray, others: VocBoxes, theirs: np.ndarray
    ) -> np.ndarray:
        """Return the overlap of each pair of a box of ours and of others, (P,)."""
        boxes, rivals = self.corners[ours], others.corners[theirs]
        low = np.maximum(boxes[:, :2], rivals[:, :2])
        high = np.minimum(boxes[:, 2:], rivals[:, 2:])
        shared = np.maximum(high - low + self.extra, 0).prod(1)
        union = _area(boxes, self.extra) + _area(rivals, self.extra) - shared
        return np.asarray(shared / np.maximum(union, np.float32(1e-6)))


def _area(corners: np.ndarray, extra: np.float32) -> np.ndarray:
    return np.asarray(np.prod(corners[:, 2:] - corners[:, :2] + extra, axis=1))


def voc_ground_truth(
    classes: Sequence[str], annotations: Sequence[Mapping[str, np.ndarray]]
) -> GroundTruth:
    """Make ground truth of arrays; difficult objects become crowds.

    Args:
        classes: Names, length C.
        annotations: As for :func:`~.voc_eval.evaluate_voc`.
    """
    objects: list[dict[str, Any]] = []
    for row, own in enumerate(annotations):
        for suffix, crowd in (("", 0), ("_ignore", 1)):
            boxes = np.asarray(own[f"bboxes{suffix}"], float).reshape(-1, 4)
            boxes[:, 2:] -= boxes[:, :2]
            labels = np.asarray(own[f"labels{suffix}"]).tolist()
            for box, label in zip(boxes.tolist(), labels, strict=True):
                objects.append(
                    {
                        "id": len(objects) + 1,
                        "image_id": row,
                        "category_id": label,
                        "bbox": box,
                        "area": box[2] * box[3],
                        "iscrowd": crowd,
                    }
                )
    rows = range(len(annotations))
    images = [{"id": row} for row in rows]
    return GroundTruth(tuple(classes), tuple(rows), images, objects)


def voc_detections(
    num_classes: int, predictions: Sequence[Mapping[str, Any]]
) -> Detections:
    """Check predictions of images, in their order, and join them.

    Args:
        num_classes: C.
        predictions: As for :func:`~.voc_eval.evaluate_voc`.

    Raises:
        ValueError: Predictions that cannot be judged; names the image.
    """
    parts = [checked_arrays(prediction, num_classes) for prediction in predictions]
    images = np.repeat(np.arange(len(parts)), [len(scores) for _, scores, _ in parts])
    return Detections(
        images.astype(np.int32),
        np.concatenate([np.zeros(0, np.int32), *(labels for *_, labels in parts)]),
        np.concatenate([np.zeros(0), *(scores for _, scores, _ in parts)]),
        np.concatenate([np.zeros((0, 4)), *(boxes for boxes, *_ in parts)]),
    )
