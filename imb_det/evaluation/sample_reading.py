"""Data samples, read as what a metric keeps of each image until the end: arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmdet.structures.mask import encode_mask_results

from .functional.run_lengths import EncodedMasks

__all__ = ["array_of", "read_sample"]


def read_sample(
    sample: Mapping[str, Any], with_masks: bool = True
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keep what the metrics need of a data sample.

    Args:
        sample: Of mmdet's test loop, or of a file of ``tools/test.py --out``: with
            ``img_id``, ``ori_shape`` and ``pred_instances``, perhaps ``instances``.
        with_masks: Whether masks are kept. Default: True.

    Returns:
        Ground truth (``img_id``, or the file where none is packed, ``width`` and
        ``height`` with ``ori_shape``, and perhaps ``anns``), and the prediction as
        :meth:`Detections.from_predictions` takes it; masks are checked.

    Raises:
        ValueError: A mask of the wrong size, or masks without ``ori_shape``.
    """
    image_id = sample.get("img_id", sample.get("img_path"))
    record: dict[str, Any] = {"img_id": image_id}
    if "ori_shape" in sample:
        record["height"], record["width"] = map(int, sample["ori_shape"][:2])
    if "instances" in sample:
        record["anns"] = sample["instances"]
    found = sample["pred_instances"]
    prediction = {
        "img_id": image_id,
        "bboxes": array_of(found["bboxes"]),
        "scores": array_of(found["scores"]),
        "labels": array_of(found["labels"]),
    }
    if with_masks and "masks" in found:
        masks = found["masks"]
        if not isinstance(masks, (list, tuple, EncodedMasks)):
            masks = encode_mask_results(array_of(masks))
        if not isinstance(masks, EncodedMasks):
            if "ori_shape" not in sample:
                raise ValueError(
                    f"image {image_id!r} has masks, but no `ori_shape`: add it to "
                    "`meta_keys` of `PackDetInputs`"
                )
            size = (record["height"], record["width"])
            masks = EncodedMasks.of_image(image_id, size, masks)
        prediction["masks"] = masks
    if "mask_scores" in found:
        prediction["mask_scores"] = array_of(found["mask_scores"])
    return record, prediction


def array_of(values: Any) -> np.ndarray:
    """Bring a tensor of any device and type, or an array, to an array."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if values.dtype == torch.bfloat16:  # NumPy does not have it
            values = values.float()
    return np.asarray(values)
