"""An image and its objects, while others are pasted into it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks

from .pasting import Cutout, hidden_shares, tight_boxes

__all__ = ["Scene", "corners_of", "ignored_of"]

_COLUMNS = ("boxes", "labels", "ignored", "areas", "hidden")


class Scene:
    """A copy of an image and of its objects.

    Args:
        results: Of the loading pipeline.
    """

    def __init__(self, results: dict) -> None:
        self.image = results["img"].copy()
        self.boxes = corners_of(results["gt_bboxes"])
        self.labels = np.asarray(results["gt_bboxes_labels"])
        self.ignored = ignored_of(results)
        masks = results.get("gt_masks")
        self.has_masks = masks is not None
        self.masks = np.zeros((0, *self.image.shape[:2]), bool)
        # Of the masks, hidden parts included; 0 where the box stands for the object.
        self.areas: np.ndarray = np.zeros(len(self.boxes), int)
        if masks is not None and len(masks):
            self.masks = masks.to_ndarray().astype(bool)
            self.areas = self.masks.sum((1, 2))
        self.hidden: np.ndarray = np.zeros(len(self.boxes))
        self.is_changed = False

    def hidden_with(self, cutout: Cutout, corner: tuple[int, int]) -> np.ndarray:
        """Return the share of each object that would be hidden by all that is pasted.

        Where boxes stand for objects, what is hidden twice counts twice.

        Args:
            cutout: What is to be pasted.
            corner: Its left and upper edge in the image.

        Returns:
            Float64 (n,), in [0, 1].
        """
        shares = hidden_shares(cutout.mask, corner, self.boxes, self.masks, self.areas)
        return np.minimum(self.hidden + shares, 1.0)

    def add(self, cutout: Cutout, corner: tuple[int, int]) -> None:
        """Paste an object over what is there; see :meth:`hidden_with`."""
        self.hidden = self.hidden_with(cutout, corner)
        x, y = corner
        height, width = cutout.mask.shape
        window = np.s_[y : y + height, x : x + width]
        self.image[window][cutout.mask] = cutout.pixels[cutout.mask]
        box = np.array([[x, y, x + width, y + height]], np.float32)
        area = 0
        if self.has_masks:
            mask = np.zeros((1, *self.image.shape[:2]), bool)
            mask[0][window] = cutout.mask
            self._cut(mask)
            self.masks = np.concatenate([self.masks, mask])
            box, area = tight_boxes(mask), int(mask.sum())
        self.boxes = np.concatenate([self.boxes, box])
        self.labels = np.append(self.labels, cutout.label).astype(np.int64)
        self.ignored = np.append(self.ignored, False)
        self.areas = np.append(self.areas, area)
        self.hidden = np.append(self.hidden, 0.0)
        self.is_changed = True

    def _cut(self, mask: np.ndarray) -> None:
        """Take what is hidden out of the masks."""
        touched = (self.masks & mask).any((1, 2))
        self.masks &= ~mask
        # All of it may be gone where `max_hidden` is 1: nothing is left to learn.
        left = ~touched | self.masks.any((1, 2))
        self.boxes[touched & left] = tight_boxes(self.masks[touched & left])
        self.masks = self.masks[left]
        for name in _COLUMNS:
            setattr(self, name, getattr(self, name)[left])

    def write(self, results: dict) -> dict:
        """Put the image and its objects into the results."""
        if not self.is_changed:
            return results
        results["img"] = self.image
        results["gt_bboxes"] = HorizontalBoxes(torch.from_numpy(self.boxes))
        results["gt_bboxes_labels"] = self.labels
        results["gt_ignore_flags"] = self.ignored
        if self.has_masks:
            masks = self.masks.astype(np.uint8)
            results["gt_masks"] = BitmapMasks(masks, *self.image.shape[:2])
        return results


def corners_of(boxes: Any) -> np.ndarray:
    """Return the corners of boxes as a new float32 array, (n, 4)."""
    values = boxes.tensor.numpy() if isinstance(boxes, HorizontalBoxes) else boxes
    return np.array(values, np.float32).reshape(-1, 4)


def ignored_of(results: dict) -> np.ndarray:
    """Return which boxes are ignored, bool (n,)."""
    number = len(results["gt_bboxes_labels"])
    return np.asarray(results.get("gt_ignore_flags", np.zeros(number)), bool)
