"""Masks as run lengths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import faster_coco_eval.mask_api_new_cpp as mask_api
import numpy as np
from faster_coco_eval import mask as mask_utils

from .ground_truth import GroundTruth

__all__ = ["check_object_masks", "encoded_mask", "rle_of", "run_lengths"]


def rle_of(counts: bytes, image: Mapping[str, int]) -> dict[str, Any]:
    """Put the run lengths of a mask into COCO's form."""
    return {"size": [image["height"], image["width"]], "counts": counts}


def run_lengths(mask: Any) -> bytes:
    """Return the run lengths of an RLE, compressed as COCO does.

    Raises:
        ValueError: No RLE, or one whose runs do not fill its size: the library in C
            would not come to an end with it.
    """
    size: Any = None
    counts: Any = None
    if isinstance(mask, Mapping):
        size, counts = mask.get("size"), mask.get("counts")
    is_size = isinstance(size, (list, tuple)) and len(size) == 2
    if not is_size or not all(isinstance(n, (int, np.integer)) and n > 0 for n in size):
        raise ValueError(
            "a mask must be run lengths, a mapping with `size`, two whole numbers > 0, "
            f"and `counts`, got {mask!r:.80}"
        )
    height, width = map(int, size)
    try:
        if isinstance(counts, list):
            counts = mask_utils.frPyObjects(dict(mask), height, width)["counts"]
        elif isinstance(counts, str):
            counts = counts.encode("ascii")
        (plain,) = mask_api.toUncompressedRLE(
            [{"size": [height, width], "counts": counts}]
        )
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"the run lengths of a mask are malformed ({error})") from None
    if (pixels := sum(plain["counts"])) != height * width:
        raise ValueError(
            f"the run lengths of a mask are for {pixels} pixels, but its size is "
            f"{height} x {width}"
        )
    return counts


def encoded_mask(segmentation: list | dict, image: dict[str, int]) -> dict:
    """Bring polygons or run lengths into compressed run lengths."""
    height, width = image["height"], image["width"]
    if isinstance(segmentation, list):
        return mask_utils.merge(mask_utils.frPyObjects(segmentation, height, width))
    if isinstance(segmentation["counts"], list):
        return mask_utils.frPyObjects(segmentation, height, width)
    return segmentation


def check_object_masks(ground_truth: GroundTruth) -> None:
    """Refuse ground truth with masks that are missing, malformed or of another size.

    Raises:
        ValueError: Names the image and the class.
    """
    for annotation in ground_truth.annotations:
        image = ground_truth.images[annotation["image_id"]]
        problem = None
        if "segmentation" not in annotation:
            problem = "has no mask in the ground truth; use metric='bbox'"
        elif isinstance(mask := annotation["segmentation"], Mapping):
            try:
                run_lengths(mask)
            except ValueError as error:
                problem = f"has a faulty mask: {error}"
            else:
                expected = [image["height"], image["width"]]
                if list(mask["size"]) != expected:
                    problem = (
                        f"has a mask of {list(mask['size'])} (height, width), but the "
                        f"image is {expected}"
                    )
        if problem is not None:
            image_id = ground_truth.image_ids[annotation["image_id"]]
            name = ground_truth.classes[annotation["category_id"]]
            raise ValueError(
                f"image {image_id!r}: an object of class '{name}' {problem}"
            )
