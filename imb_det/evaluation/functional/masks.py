"""Masks of objects, as run lengths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pycocotools import mask as mask_utils

from imb_det.statistics.coco_masks import sound_parts

from .ground_truth import GroundTruth
from .run_lengths import MaskError, checked_masks

__all__ = ["check_object_masks", "encoded_mask", "rle_of"]


def rle_of(counts: bytes, image: Mapping[str, int]) -> dict[str, Any]:
    """Put the run lengths of a mask into COCO's form."""
    return {"size": [image["height"], image["width"]], "counts": counts}


def encoded_mask(segmentation: list | dict, image: dict[str, int]) -> dict[str, Any]:
    """Bring polygons or run lengths into compressed run lengths."""
    height, width = image["height"], image["width"]
    if isinstance(segmentation, list):
        parts = mask_utils.frPyObjects(segmentation, height, width)
        return parts[0] if len(parts) == 1 else mask_utils.merge(parts)
    if isinstance(segmentation["counts"], list):
        return mask_utils.frPyObjects(segmentation, height, width)
    return segmentation


def check_object_masks(ground_truth: GroundTruth) -> None:
    """Refuse ground truth with masks that are missing, malformed or of another size.

    Args:
        ground_truth: As :meth:`GroundTruth.judged_by` gives it.

    Raises:
        ValueError: Names the image and the class.
    """
    encoded = []
    for image_id, image in zip(
        ground_truth.image_ids, ground_truth.images, strict=True
    ):
        if not (image["height"] and image["width"]):
            raise ValueError(
                f"image {image_id!r} has no `width` or no `height`, which masks need; "
                "add its size in pixels"
            )
    for annotation in ground_truth.annotations:
        mask = annotation.get("segmentation")
        if isinstance(mask, Mapping):
            encoded.append(annotation)
        elif mask is None:
            problem = "has no mask in the ground truth; use metric='bbox'"
            raise _fault(ground_truth, annotation, problem)
        elif not _is_outline(mask):
            raise _fault(
                ground_truth,
                annotation,
                "has a faulty mask: it must be run lengths or a list of polygons [x1, "
                f"y1, x2, y2, ...] of three points or more, got {mask!r:.80}",
            )
    try:
        checked_masks([annotation["segmentation"] for annotation in encoded])
    except MaskError as error:
        annotation = encoded[error.number]
        text = f"has a faulty mask: {error}"
        raise _fault(ground_truth, annotation, text) from None
    for annotation in encoded:
        image = ground_truth.images[annotation["image_id"]]
        size = list(annotation["segmentation"]["size"])
        expected = [image["height"], image["width"]]
        if size != expected:
            raise _fault(
                ground_truth,
                annotation,
                f"has a mask of {size} (height, width), but the image is {expected}",
            )


def _is_outline(segmentation: Any) -> bool:
    """Tell whether a mask is polygons that COCO's library can draw."""
    try:
        return isinstance(segmentation, list) and sound_parts(segmentation) != []
    except TypeError:
        return False


def _fault(
    ground_truth: GroundTruth, annotation: Mapping[str, Any], problem: str
) -> ValueError:
    image_id = ground_truth.image_ids[annotation["image_id"]]
    name = ground_truth.classes[annotation["category_id"]]
    return ValueError(f"image {image_id!r}: an object of class '{name}' {problem}")
