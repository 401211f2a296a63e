"""MixUp with a partner by the weights of the sampler."""

from __future__ import annotations

import copy
from typing import Any

import mmdet.datasets.transforms
from mmcv.transforms.utils import cache_randomness

from imb_det.registry import TRANSFORMS

from .weighted_partners import WeightedPartners, mixed_in

__all__ = ["MixUp"]


@TRANSFORMS.register_module()
class MixUp(WeightedPartners, mmdet.datasets.transforms.MixUp):
    """mmdet's ``MixUp`` whose partner is drawn by the sampler's weights.

    Only images with a box are partners, which is known from the class counts; mmdet
    loads images until one has a box. Without a sampler of this library, the partner is
    drawn as mmdet does. Masks cannot be mixed: mmdet leaves those of the first image
    beside the boxes of both, which is an error here.

    Args:
        **kwargs: Arguments of mmdet's ``MixUp``.

    Raises:
        ValueError: When an image has masks, or no other is given.

    Example:
        >>> mix_up = dict(type="imb_det.MixUp", img_scale=(640, 640))
    """

    needs_boxes = True

    @cache_randomness
    def get_indexes(self, dataset: Any) -> int:
        """Return the index of the partner in the wrapped data set."""
        partners = self.draw_partners(1)
        return super().get_indexes(dataset) if partners is None else partners[0]

    def transform(self, results: dict) -> dict:
        """Mix two images.

        Args:
            results: Of the loading pipeline, with ``mix_results`` of the other.
        """
        if results.get("gt_masks") is not None:
            raise ValueError(
                "imb_det.MixUp mixes boxes, not masks: use imb_det.Mosaic or "
                "imb_det.RareCopyPaste, or `LoadAnnotations` with `with_mask=False`"
            )
        # mmdet scales the boxes of the other image in place.
        others = [
            {**part, "gt_bboxes": copy.deepcopy(part["gt_bboxes"])}
            for part in mixed_in(self, results)
        ]
        return super().transform({**results, "mix_results": others})
