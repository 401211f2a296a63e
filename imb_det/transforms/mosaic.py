"""Mosaic with partners by the weights of the sampler, and with masks."""

from __future__ import annotations

from typing import Any

import mmdet.datasets.transforms
import numpy as np
from mmcv.transforms.utils import cache_randomness
from mmdet.structures.bbox import autocast_box_type

from imb_det.registry import TRANSFORMS

from .weighted_partners import WeightedPartners

__all__ = ["Mosaic"]


@TRANSFORMS.register_module()
class Mosaic(WeightedPartners, mmdet.datasets.transforms.Mosaic):
    """mmdet's ``Mosaic`` whose three partners are drawn by the sampler's weights.

    mmdet draws them uniformly, so that in three quarters of every image the rare
    classes are as rare as without a sampler. Without a sampler of this library,
    partners are uniform here as well. Masks go along with their boxes; mmdet leaves
    those of the first image as they were.

    Args:
        **kwargs: Arguments of mmdet's ``Mosaic``.

    Example:
        >>> mosaic = dict(type="imb_det.Mosaic", img_scale=(640, 640))
    """

    _places: list[tuple] | None = None  # how far each part is moved, while it is

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
        if results.get("gt_masks") is None:
            return super().transform(results)
        parts = [results, *results["mix_results"]]
        sizes = [part["img"].shape[:2] for part in parts]
        masks = [part["gt_masks"] for part in parts]
        labels = [part["gt_bboxes_labels"] for part in parts]
        # mmdet leaves out boxes, and labels alike: numbers in their place tell which.
        ends = np.cumsum([0, *map(len, labels)])
        for part, first, end in zip(parts, ends[:-1], ends[1:], strict=True):
            part["gt_bboxes_labels"] = np.arange(first, end)
        places: list[tuple] = []
        self._places = places
        results = super().transform(results)
        self._places = None
        kept = results["gt_bboxes_labels"]
        results["gt_bboxes_labels"] = np.concatenate(labels)[kept]
        if not places:  # `prob` left the image as it was
            return results
        height, width = results["img"].shape[:2]
        moved = []
        for (x, y), size, mask, first in zip(
            places, sizes, masks, ends[:-1], strict=True
        ):
            mine = kept[(kept >= first) & (kept < first + len(mask))] - first
            scale = min(self.img_scale[1] / size[0], self.img_scale[0] / size[1])
            mask = mask[mine].resize((int(size[0] * scale), int(size[1] * scale)))
            shift = (
                dict(offset=x, direction="horizontal"),
                dict(offset=y, direction="vertical"),
            )
            for step in shift:
                mask = mask.translate((height, width), **step)
            moved.append(mask)
        results["gt_masks"] = moved[0].cat(moved)
        return results

    def _mosaic_combine(self, *args: Any) -> tuple:
        """Remember how far each part is moved."""
        pasted, cropped = super()._mosaic_combine(*args)
        if self._places is not None:
            self._places.append((pasted[0] - cropped[0], pasted[1] - cropped[1]))
        return pasted, cropped
