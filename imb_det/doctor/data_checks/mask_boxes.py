"""Masks of an annotation file that are empty, or lie elsewhere than their boxes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from pycocotools import mask as mask_api

from imb_det.core.finding import Finding, Severity
from imb_det.statistics.coco_content import CocoContent
from imb_det.statistics.coco_masks import fault_of_run_lengths, sound_parts

__all__ = ["masks_off_their_boxes"]

_LEAST = 0.7  # overlap of a box with the box around its mask
_SLACK = 2  # pixels by which every side may be off
_REMEDY = (
    "Draw the box or the mask of the entry anew: `bbox` is x, y, width, height, and "
    "polygons are x1, y1, x2, y2, ... in pixels of the same image"
)


def masks_off_their_boxes(
    file: CocoContent, classes: Collection[str] | None
) -> Iterator[Finding]:
    """Find run lengths without a pixel, and masks that do not fit their box.

    A mask does not fit where the box around it overlaps with its own by less than 0.7,
    and a side is off by more than 2 pixels. Crowds are passed over. Polygons that show
    nothing, and masks that are none, are told by those who read them.

    Args:
        file: With masks.
        classes: Names in use; all if None.
    """
    chosen = file.of_classes(classes) & file.are("is_used")
    chosen &= ~file.flags("iscrowd") & ~file.flags("ignore")
    x, y, w, h = file.boxes.T
    boxes = np.column_stack([x, y, x + w, y + h])
    heights, widths = file.sides("height"), file.sides("width")
    for index in np.flatnonzero(chosen).tolist():
        row = file.image_rows[index]
        mask = file.annotations[index].get("segmentation")
        around = _extent(mask, (float(heights[row]), float(widths[row])))
        if around is None:
            continue
        if not len(around):
            what = "masks without a pixel: their objects have a box, but no mask"
            yield _finding(file, index, "mask_empty", what, "")
        elif _differs(boxes[index], around):
            text = f"the box around the mask is {_corners(around)}"
            what = "masks that do not fit the boxes of their objects"
            yield _finding(file, index, "mask_off_box", what, text)


def _extent(mask: Any, size: tuple[float, float]) -> np.ndarray | None:
    """Return the box around a mask; empty without a pixel, None if it is not known."""
    if isinstance(mask, list):
        try:
            parts = sound_parts(mask)
        except TypeError:
            return None
        if not parts:
            return None
        ends = [(min(p[::2]), min(p[1::2]), max(p[::2]), max(p[1::2])) for p in parts]
        low_x, low_y, high_x, high_y = zip(*ends, strict=True)
        return np.array([min(low_x), min(low_y), max(high_x), max(high_y)], float)
    if mask is None or fault_of_run_lengths(mask, size):
        return None
    if isinstance(mask["counts"], list):
        mask = mask_api.frPyObjects(mask, *mask["size"])
    x, y, w, h = mask_api.toBbox(mask).tolist()
    return np.array([x, y, x + w, y + h] if mask_api.area(mask) else [])


def _differs(box: np.ndarray, around: np.ndarray) -> bool:
    if np.abs(box - around).max() <= _SLACK:
        return False
    low, high = np.maximum(box[:2], around[:2]), np.minimum(box[2:], around[2:])
    inside = np.prod(np.maximum(high - low, 0))
    areas = np.prod(box[2:] - box[:2]) + np.prod(around[2:] - around[:2])
    return bool(inside < _LEAST * (areas - inside))


def _corners(box: np.ndarray) -> str:
    return f"({', '.join(f'{value:g}' for value in box)})"


def _finding(
    file: CocoContent, index: int, code: str, what: str, around: str
) -> Finding:
    x, y, w, h = file.boxes[index]
    own = _corners(np.array([x, y, x + w, y + h]))
    name = file.categories[file.category_rows[index]]["name"]
    evidence = "; ".join(part for part in (f"{name} {own}", around) if part)
    where = file.place_of(index)
    return Finding(code, Severity.WARNING, what, where, evidence, _REMEDY)
