"""What a generated image shows, whatever form it is written in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ImageRecord", "ObjectRecord", "encode_mask"]


@dataclass(frozen=True)
class ObjectRecord:
    """One annotated object.

    Args:
        label: Index into the class names.
        bbox: Integer pixel box ``(x, y, width, height)``, 0-based, tight around
            the mask.
        area: Number of pixels of the mask.
        segmentation: Compressed COCO run-length code of the mask.
    """

    label: int
    bbox: tuple[int, int, int, int]
    area: int
    segmentation: dict[str, Any]


@dataclass(frozen=True)
class ImageRecord:
    """One annotated image.

    Args:
        stem: File name without folder and without ``.jpg``; also the VOC id.
        width: Width in pixels.
        height: Height in pixels.
        objects: The annotated objects.
        neg_labels: Classes verified to be absent (LVIS ``neg_category_ids``).
    """

    stem: str
    width: int
    height: int
    objects: tuple[ObjectRecord, ...]
    neg_labels: tuple[int, ...] = ()


def encode_mask(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Encode a binary mask as a compressed COCO run-length code.

    Args:
        mask: Boolean array of shape ``(height, width)``.

    Returns:
        ``{"size": [height, width], "counts": str}``, ready for JSON.
    """
    from pycocotools import mask as coco_mask

    code = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    size = [int(length) for length in code["size"]]
    return {"size": size, "counts": code["counts"].decode("ascii")}
