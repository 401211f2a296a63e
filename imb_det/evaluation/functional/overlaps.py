"""Pairs of a detection and an object, and how far they overlap."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from pycocotools import mask as mask_utils

from .detections import Detections
from .ground_truth import GroundTruth
from .masks import encoded_mask, rle_of
from .objects import Objects

__all__ = ["Pairs", "overlaps_of", "pairs_of"]


class Pairs(NamedTuple):
    """Detections with the objects that they could be.

    Args:
        ours: Row of each detection, ascending, int64 (P,).
        theirs: Row of each object, int64 (P,).
        overlap: Their overlap, float (P,).
    """

    ours: np.ndarray
    theirs: np.ndarray
    overlap: np.ndarray

    def take(self, index: np.ndarray) -> Pairs:
        """Select pairs by indices or by a mask of booleans."""
        return Pairs(self.ours[index], self.theirs[index], self.overlap[index])

    def first_of_largest(self) -> Pairs:
        """Keep the first of the pairs of largest overlap, of each detection."""
        if not len(self.ours):
            return self
        heads = np.flatnonzero(np.diff(self.ours, prepend=-1))
        size = np.diff(np.append(heads, len(self.ours)))
        best = np.repeat(np.maximum.reduceat(self.overlap, heads), size)
        places = np.where(self.overlap == best, np.arange(len(best)), len(best))
        return self.take(np.minimum.reduceat(places, heads))


def pairs_of(own: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pair each detection with each object of the same image, or image and class.

    Args:
        own: What pairs belong by, of each detection; int (D,).
        others: The same of each object; int (G,).

    Returns:
        Detection and object of each pair, detection after detection and objects in
        their order, int64 (P,).
    """
    order = np.argsort(others, kind="stable")
    groups, first, size = np.unique(
        others[order], return_index=True, return_counts=True
    )
    if not len(groups):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    place = np.minimum(np.searchsorted(groups, own), len(groups) - 1)
    rivals = np.flatnonzero(groups[place] == own)
    place = place[rivals]
    counts = size[place]
    starts = np.cumsum(counts) - counts
    step = np.arange(counts.sum()) + np.repeat(first[place] - starts, counts)
    return np.repeat(rivals, counts), order[step]


def overlaps_of(
    ground_truth: GroundTruth,
    objects: Objects,
    found: Detections,
    ours: np.ndarray,
    theirs: np.ndarray,
) -> np.ndarray:
    r"""Return the overlap of each pair, of masks where the detections have masks.

    .. math:: o = \frac{|d \cap g|}{|d \cup g|}, \qquad
              o_{crowd} = \frac{|d \cap g|}{|d|}

    Args:
        ground_truth: Whose objects they are.
        objects: Of the ground truth, as arrays.
        found: Detections.
        ours: Detection of each pair, (P,).
        theirs: Object of each pair, (P,).

    Returns:
        Float64 (P,).
    """
    if found.mask is not None:
        return _mask_overlaps(ground_truth, objects, found, found.mask, ours, theirs)
    boxes = np.asarray([a["bbox"] for a in ground_truth.annotations], float)
    x, y, w, h = boxes.reshape(-1, 4).T
    x1, y1, x2, y2 = found.bbox.T
    own_x, own_y = (values.astype(float) for values in (x1, y1))
    own_w, own_h = x2.astype(float) - own_x, y2.astype(float) - own_y
    area, areas = (own_w * own_h)[ours], (w * h)[theirs]
    wide = np.minimum((own_x + own_w)[ours], (x + w)[theirs])
    wide -= np.maximum(own_x[ours], x[theirs])
    high = np.minimum((own_y + own_h)[ours], (y + h)[theirs])
    high -= np.maximum(own_y[ours], y[theirs])
    shared = np.where((wide > 0) & (high > 0), wide * high, 0)
    union = np.where(objects.crowd[theirs], area, area + areas - shared)
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _mask_overlaps(
    ground_truth: GroundTruth,
    objects: Objects,
    found: Detections,
    masks: np.ndarray,
    ours: np.ndarray,
    theirs: np.ndarray,
) -> np.ndarray:
    """Return the overlap of each pair of masks, (P,)."""
    encoded: dict[int, dict] = {}
    for index in np.unique(theirs).tolist():
        annotation = ground_truth.annotations[index]
        image = ground_truth.images[annotation["image_id"]]
        encoded[index] = encoded_mask(annotation["segmentation"], image)
    # All detections with the same objects in one call.
    first = np.flatnonzero(np.diff(ours, prepend=-1))
    size = np.diff(np.append(first, len(ours)))
    group = np.repeat(theirs[first], size)
    order = np.argsort(group, kind="stable")
    ends = np.flatnonzero(np.diff(group[order], prepend=-1))
    size = np.repeat(size, size)[order]
    overlaps = np.zeros(len(ours))
    for begin, end in pairwise([*ends.tolist(), len(ours)]):
        pairs = order[begin:end]
        rows = ours[pairs[:: size[begin]]]
        own = theirs[pairs[: size[begin]]].tolist()
        image = ground_truth.images[int(found.image[rows[0]])]
        overlaps[pairs] = mask_utils.iou(
            [rle_of(masks[row], image) for row in rows.tolist()],
            [encoded[index] for index in own],
            objects.crowd[own].astype(np.uint8),
        ).ravel()
    return overlaps
