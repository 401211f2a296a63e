"""Mosaic with partners by the weights of the sampler, and with masks."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import mmdet.datasets.transforms
import numpy as np
from mmcv.transforms.utils import cache_randomness
from mmdet.structures.bbox import autocast_box_type
from mmdet.structures.mask import BitmapMasks, PolygonMasks

from imb_det.registry import TRANSFORMS

from .weighted_partners import WeightedPartners, mixed_in

__all__ = ["Mosaic"]

_NO_AREA = 1e-3  # square pixels, where a polygon lies on the border, up to rounding


@TRANSFORMS.register_module()
class Mosaic(WeightedPartners, mmdet.datasets.transforms.Mosaic):
    """mmdet's ``Mosaic`` whose three partners are drawn by the sampler's weights.

    mmdet draws them uniformly, so that in three quarters of every image the rare
    classes are as rare as without a sampler. Without a sampler of this library,
    partners are uniform here as well. Masks go along with their boxes; mmdet leaves
    those of the first image as they were. Where a corner of a box is left, but nothing
    of the mask in it, the object is left out.

    Args:
        **kwargs: Arguments of mmdet's ``Mosaic``.

    Raises:
        ValueError: When no other images are given.

    Example:
        >>> mosaic = dict(type="imb_det.Mosaic", img_scale=(640, 640))
    """

    _places: list[tuple]  # where each part of the latest mosaic is

    @cache_randomness
    def get_indexes(self, dataset: Any) -> list[int]:
        """Return the indices of three partners in the wrapped data set."""
        partners = self.draw_partners(3)
        return super().get_indexes(dataset) if partners is None else partners

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Put four images together.

        Args:
            results: Of the loading pipeline, with ``mix_results`` of three others.
        """
        self._places = []
        others = mixed_in(self, results)
        if results.get("gt_masks") is None:
            return super().transform(results)
        parts = _with_one_kind_of_masks([results, *others])
        labels = [part["gt_bboxes_labels"] for part in parts]
        # mmdet leaves out boxes, and labels alike: numbers in their place tell which.
        ends = np.cumsum([0, *map(len, labels)])
        numbered = [
            {**part, "gt_bboxes_labels": np.arange(*span), "gt_masks": None}
            for part, span in zip(parts, pairwise(ends), strict=True)
        ]
        mixed = super().transform({**numbered[0], "mix_results": numbered[1:]})
        kept = mixed["gt_bboxes_labels"]
        mixed["gt_bboxes_labels"] = np.concatenate(labels)[kept]
        if not self._places:  # `prob` left the image as it was
            return {**mixed, "gt_masks": results["gt_masks"]}
        kept_of_parts = np.split(kept, np.searchsorted(kept, ends[1:-1]))
        found = [
            self._place(part, mine - first, place, mixed["img"].shape[:2])
            for part, mine, first, place in zip(
                parts, kept_of_parts, ends[:-1], self._places, strict=True
            )
        ]
        masks = [masks for masks, _ in found]
        seen = np.concatenate([seen for _, seen in found])
        for key in ("gt_bboxes", "gt_bboxes_labels", "gt_ignore_flags"):
            mixed[key] = mixed[key][seen]
        return {**mixed, "gt_masks": masks[0].cat(masks)}

    def _place(
        self, part: dict, objects: np.ndarray, place: tuple, shape: tuple[int, int]
    ) -> tuple[Any, np.ndarray]:
        """Return masks of a part in the mosaic, and of which objects something is seen.

        A mask that was empty before, such as mmdet gives to a crowd region that is no
        polygon, counts as seen: its box is all there is.
        """
        height, width = part["img"].shape[:2]
        scale = min(self.img_scale[1] / height, self.img_scale[0] / width)
        masks = part["gt_masks"][objects]
        masks = masks.resize((int(height * scale), int(width * scale)))
        (x1, y1, x2, y2), (left, top, right, bottom) = place
        if isinstance(masks, PolygonMasks):
            was_empty = masks.areas < _NO_AREA
            masks = masks.translate(shape, x1 - left, "horizontal")
            masks = masks.translate(shape, y1 - top, "vertical")
            seen = was_empty | (masks.areas >= _NO_AREA)
            return masks[seen], seen
        was_empty = ~masks.masks.any((1, 2))
        # mmdet's `translate` is slow, and OpenCV moves no more than 512 masks at once.
        cut = masks.masks[:, top:bottom, left:right]
        seen = was_empty | cut.any((1, 2))
        whole = np.zeros((int(seen.sum()), *shape), np.uint8)
        whole[:, y1:y2, x1:x2] = cut[seen]
        return BitmapMasks(whole, *shape), seen

    def _mosaic_combine(self, *args: Any) -> tuple:
        """Remember where a part is, and what is cut out of it."""
        place = super()._mosaic_combine(*args)
        self._places.append(place)
        return place


def _with_one_kind_of_masks(parts: list[dict]) -> list[dict]:
    """Turn polygons into bitmaps where a part has these, such as from RareCopyPaste."""
    if not any(isinstance(part["gt_masks"], BitmapMasks) for part in parts):
        return parts
    return [{**part, "gt_masks": _as_bitmap(part["gt_masks"])} for part in parts]


def _as_bitmap(masks: Any) -> BitmapMasks:
    if isinstance(masks, BitmapMasks):
        return masks
    # mmdet's `to_bitmap` makes them bool, which its `resize` does not take.
    bits = masks.to_ndarray().astype(np.uint8)
    return BitmapMasks(bits, masks.height, masks.width)
