"""Predictions of single images, brought into arrays and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .run_lengths import EncodedMasks

__all__ = ["checked_arrays", "predictions_from_samples", "ranked_masks"]


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


def ranked_masks(
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
