"""Predictions of a detector, checked and kept as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .ground_truth import GroundTruth
from .masks import check_object_masks
from .prediction_arrays import checked_arrays, ranked_masks
from .run_lengths import EncodedMasks

__all__ = ["Detections"]


@dataclass(frozen=True, eq=False)
class Detections:
    """All detections of a set, image after image in the order of its rows.

    Args:
        image: Row of the image in the ground truth, int32 (D,), ascending.
        label: Class index, int32 (D,).
        score: Float64 (D,), finite.
        bbox: Corners x1, y1, x2, y2 in pixels of the original image, float32 or
            float64 as the predictions have them, (D, 4).
        mask: Run lengths of the masks, compressed, length D; None for boxes.
        mask_area: Pixels of the masks, float64 (D,); None for boxes.
    """

    image: np.ndarray
    label: np.ndarray
    score: np.ndarray
    bbox: np.ndarray
    mask: np.ndarray | None = None
    mask_area: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.score)

    @property
    def area(self) -> np.ndarray:
        """Area of the masks, or else of the boxes, float64 (D,)."""
        if self.mask_area is not None:
            return self.mask_area
        return np.prod(self.xywh[:, 2:], axis=1)

    @property
    def xywh(self) -> np.ndarray:
        """Boxes as x, y, width, height, float64 (D, 4)."""
        boxes = self.bbox.astype(np.float64)
        boxes[:, 2:] -= boxes[:, :2]
        return boxes

    def take(self, index: np.ndarray) -> Detections:
        """Select detections by indices or by a mask of booleans."""
        return Detections(
            self.image[index],
            self.label[index],
            self.score[index],
            self.bbox[index],
            None if self.mask is None else self.mask[index],
            None if self.mask_area is None else self.mask_area[index],
        )

    def without_classes(self) -> Detections:
        """Make all classes one; in an image the order is that of the labels."""
        ordered = self.take(np.lexsort((self.label, self.image)))
        return replace(ordered, label=np.zeros_like(self.label))

    @classmethod
    def from_predictions(
        cls,
        ground_truth: GroundTruth,
        predictions: Sequence[Mapping[str, Any]],
        iou_type: str = "bbox",
    ) -> Detections:
        """Check predictions and join them.

        Args:
            ground_truth: Images and classes that the predictions refer to.
            predictions: For each image ``img_id``, ``bboxes`` (n, 4) as x1, y1, x2,
                y2, ``scores`` (n,) and ``labels`` (n,) from 0 to C - 1; for masks also
                ``masks`` (n RLEs, or :class:`EncodedMasks`, which have been checked),
                and perhaps ``mask_scores`` (n,).
            iou_type: ``bbox`` or ``segm``. Default: ``bbox``.

        Raises:
            ValueError: A prediction for an unknown image, two for one image, arrays
                that do not fit together, unknown labels, NaN or infinite numbers, or
                masks that are missing or of the wrong size; names the image.
        """
        if iou_type not in ("bbox", "segm"):
            raise ValueError(f"`iou_type` must be 'bbox' or 'segm', got {iou_type!r}")
        if iou_type == "segm":
            check_object_masks(ground_truth)
        rows = ground_truth.rows
        by_row: dict[int, Mapping[str, Any]] = {}
        for prediction in predictions:
            image_id = prediction["img_id"]
            if image_id not in rows:
                raise ValueError(
                    f"image {image_id!r} has predictions but no ground truth"
                )
            if rows[image_id] in by_row:
                raise ValueError(f"image {image_id!r} has predictions twice")
            by_row[rows[image_id]] = prediction
        order = sorted(by_row)
        num_classes = len(ground_truth.classes)
        parts = [checked_arrays(by_row[row], num_classes) for row in order]
        boxes, scores, labels = zip(*parts, strict=True) if parts else ((), (), ())
        masks: list[EncodedMasks] = []
        if iou_type == "segm":
            pairs = zip(order, scores, strict=True)
            ranked = [
                ranked_masks(by_row[row], ground_truth.images[row], own)
                for row, own in pairs
            ]
            masks = [own for own, _ in ranked]
            scores = tuple(own for _, own in ranked)
        joined = cls(
            np.repeat(np.asarray(order, np.int32), [len(own) for own in labels]),
            np.concatenate([np.zeros(0, np.int32), *labels]),
            np.concatenate([np.zeros(0), *scores]),
            np.concatenate(boxes) if boxes else np.zeros((0, 4)),
        )
        if iou_type == "bbox":
            return joined
        return replace(
            joined,
            mask=np.concatenate([np.zeros(0, object), *(own.counts for own in masks)]),
            mask_area=np.concatenate([np.zeros(0), *(own.area for own in masks)]),
        )
