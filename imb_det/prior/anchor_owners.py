"""Which box each positive anchor is for, by the rule of a max-IoU assigner."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .anchor_matching import Matcher, best_anchors

__all__ = ["count_anchors_of_boxes"]


def count_anchors_of_boxes(
    boxes: np.ndarray,
    image: np.ndarray,
    pad_shape: np.ndarray,
    base_anchors: Sequence[np.ndarray],
    strides: Sequence[tuple[int, int]],
    pos_iou_thr: float,
    neg_iou_thr: float,
    min_pos_iou: float = 0.0,
    match_low_quality: bool = True,
) -> np.ndarray:
    """Count the positive anchors of each box, on each level.

    An anchor that overlaps boxes by ``pos_iou_thr`` or more is for that which it
    overlaps most, the first of equal ones. Then, with low-quality matching, each box
    takes the anchors that overlap it most, the later box from the earlier.

    Args:
        boxes: As for :func:`.anchor_matching.count_max_iou_matches`, like the others.
        image: Image of each box, int (m,).
        pad_shape: Padded height and width of each image, int (n, 2).
        base_anchors: Base anchors of each level, float32 (templates, 4).
        strides: Horizontal and vertical stride of each level, pixels.
        pos_iou_thr: Least IoU of a positive anchor, at most 1.
        neg_iou_thr: IoU below which an anchor is negative, above 0.
        min_pos_iou: Least IoU of a low-quality match. Default 0.
        match_low_quality: Whether each box claims its best anchors. Default True.

    Returns:
        Int64 (m, levels). The sum over the boxes of an image is its number of positive
        anchors.
    """
    steps = np.array([(stride_y, stride_x) for stride_x, stride_y in strides])
    grids = -(-pad_shape[:, None, :] // steps)
    matcher = Matcher(boxes, image, grids, base_anchors, strides)
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for box, anchor, iou in matcher.windows(np.arange(len(boxes)), pos_iou_thr):
        near = np.flatnonzero(iou >= np.float32(pos_iou_thr))
        owner = box[near % len(box)]
        found.append((anchor.reshape(-1)[near], iou.reshape(-1)[near], owner))
    anchor, iou, owner = _joined(found, (np.int64, np.float32, np.int64))
    order = np.lexsort((owner, -iou, anchor))
    _, first = np.unique(anchor[order], return_index=True)
    last = order[first]
    anchor_of, owner_of = anchor[last], owner[last]
    if match_low_quality:
        best = np.full(len(boxes), -1, np.float32)
        np.maximum.at(best, owner, iou)
        is_best = (iou == best[owner]) & (iou >= np.float32(min_pos_iou))
        claims = [(anchor[is_best], owner[is_best])]
        unmatched = np.flatnonzero(best < 0)
        for box, near, top in best_anchors(
            matcher, unmatched, neg_iou_thr / 4, min_pos_iou
        ):
            *_, column = np.nonzero(top)
            claims.append((near[top], box[column]))
        claimed, by = _joined(claims, (np.int64, np.int64))
        order = np.lexsort((-by, claimed))
        claimed, first = np.unique(claimed[order], return_index=True)
        left = ~np.isin(anchor_of, claimed)
        anchor_of = np.concatenate([anchor_of[left], claimed])
        owner_of = np.concatenate([owner_of[left], by[order][first]])
    starts = matcher.level_start
    level = np.searchsorted(starts, anchor_of % max(matcher.span, 1), "right") - 1
    counts = np.zeros((len(boxes), len(starts)), np.int64)
    np.add.at(counts, (owner_of, level), 1)
    return counts


def _joined(
    parts: Sequence[tuple[np.ndarray, ...]], kinds: Sequence[type]
) -> list[np.ndarray]:
    """Join the columns of some rows, of none as well."""
    return [
        np.concatenate([np.empty(0, kind), *(part[i] for part in parts)]).astype(kind)
        for i, kind in enumerate(kinds)
    ]
