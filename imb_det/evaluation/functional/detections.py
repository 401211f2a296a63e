"""Predictions of a detector, checked and kept as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .ground_truth import GroundTruth
from .masks import check_object_masks
from .run_lengths import EncodedMasks

__all__ = [
    "Detections",
    "checked_arrays",
    "predictions_from_samples",
]


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
                _masks(by_row[row], ground_truth.images[row], own) for row, own in pairs
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


def predictions_from_samples(samples: Sequence[Mapping[str, Any]]) -> list[dict]:
    """Read the data samples that ``tools/test.py --out`` writes.

    Args:
        samples: Dictionaries with ``img_id`` and ``pred_instances``.

    Returns:
        Predictions as :meth:`Detections.from_predictions` takes them.

    Raises:
        ValueError: An entry without one of the two keys.
    """
    predictions = []
    for index, sample in enumerate(samples):
        if not isinstance(sample.get("pred_instances", {}), Mapping):
            kind = type(sample["pred_instances"]).__name__
            raise ValueError(
                f"entry {index}: `pred_instances` must be a mapping, got {kind}"
            )
        if missing := [k for k in ("img_id", "pred_instances") if k not in sample]:
            raise ValueError(
                f"entry {index} of the predictions has no {missing}: it is no data "
                "sample as `tools/test.py --out` writes them"
            )
        predictions.append({"img_id": sample["img_id"], **sample["pred_instances"]})
    return predictions


def checked_arrays(
    prediction: Mapping[str, Any], num_classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return boxes (n, 4), scores float64 (n,) and labels int32 (n,)."""
    image_id = prediction["img_id"]
    keys = ("bboxes", "scores", "labels")
    if missing := [key for key in keys if key not in prediction]:
        raise ValueError(f"image {image_id!r}: the prediction has no {missing}")
    boxes = np.asarray(prediction["bboxes"])
    if boxes.dtype != np.float32:
        boxes = boxes.astype(np.float64)
    scores = np.asarray(prediction["scores"], dtype=np.float64)
    labels = np.asarray(prediction["labels"])
    if labels.size and labels.dtype.kind not in "iu":
        raise ValueError(
            f"image {image_id!r}: `labels` must be whole numbers, got {labels.dtype}"
        )
    labels = labels.astype(np.int64)
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
    return boxes, scores, labels.astype(np.int32)


def _masks(
    prediction: Mapping[str, Any], image: Mapping[str, int], scores: np.ndarray
) -> tuple[EncodedMasks, np.ndarray]:
    """Return the masks of an image, checked, and the scores that rank them."""
    image_id, size = prediction["img_id"], (image["height"], image["width"])
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
    if not isinstance(masks, EncodedMasks):
        masks = EncodedMasks.of_image(image_id, size, masks)
    if masks.size != size:
        raise ValueError(
            f"image {image_id!r} is {size} (height, width) in the annotation file, but "
            f"{masks.size} where its masks were predicted"
        )
    return masks, scores
