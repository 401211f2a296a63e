"""Counts what a max-IoU assigner does to anchors, for many images at once.

The assigner compares every anchor with every box: some 10^5 pairs an image, nearly
all of them far below any threshold. Here each box meets only a window of anchors
around it, on the levels and shapes that can reach the negative threshold with it.
Inside a window the overlap is the product of one overlap along each axis. It is
computed in float32 with the roundings of mmdet, so that thresholds and ties fall
as they fall in training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

__all__ = ["Matcher", "best_anchors", "count_max_iou_matches"]

# Geometric bounds are kept a little wide, so that rounding never loses a pair.
_SLACK = 1e-3
_WHOLE_GRIDS = 16


def _axis_window(
    box: np.ndarray,
    base: np.ndarray,
    stride: int,
    cells: np.ndarray,
    min_overlap: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Overlap of each box with a window of anchors along one axis.

    Args:
        box: Low and high coordinates, float32, (2, k).
        base: Low and high coordinate of the base anchor, float32, (2,).
        stride: Step of the grid, pixels.
        cells: Cells of the grid of each box, int64, (k,).
        min_overlap: Overlap that the window must not miss, float64, (k,).

    Returns:
        Cell (w, k), anchor side (w, k), overlap (w, k), -1 outside the grid.
    """
    low, high = box.astype(np.float64)
    # overlap <= (box side + anchor side) / 2 - distance of the centres
    reach = (high - low + float(base[1] - base[0])) / 2 - min_overlap
    offset = (low + high - float(base[0] + base[1])) / 2
    first = np.maximum(np.ceil((offset - reach) / stride - _SLACK), 0)
    last = np.minimum(np.floor((offset + reach) / stride + _SLACK), cells - 1)
    width = max(int((last - first).max()) + 1, 0)
    cell = first.astype(np.int64) + np.arange(width)[:, None]
    shift = cell.astype(np.float32) * np.float32(stride)
    start, end = base[0] + shift, base[1] + shift
    overlap = np.minimum(box[1], end)
    overlap -= np.maximum(box[0], start)
    np.maximum(overlap, np.float32(0), out=overlap)
    overlap[cell > last] = -1
    end -= start
    return cell, end, overlap


class Matcher:
    """Windows of anchors around boxes, and one flat index for all anchors.

    Args:
        boxes: float32 (m, 4).
        image: Image of each box, int64 (m,).
        grids: Rows and columns of the anchor grid of each image and level,
            int64 (n, levels, 2).
        base_anchors: Base anchors of each level, float32 (templates, 4).
        strides: Horizontal and vertical stride of each level.
    """

    def __init__(
        self,
        boxes: np.ndarray,
        image: np.ndarray,
        grids: np.ndarray,
        base_anchors: Sequence[np.ndarray],
        strides: Sequence[tuple[int, int]],
    ) -> None:
        # Boxes stand in columns: the loops of numpy then run along many boxes.
        self.boxes = np.ascontiguousarray(boxes.T)
        self.image, self.grids = image, grids
        self.base_anchors, self.strides = base_anchors, strides
        self.sides = self.boxes[2:] - self.boxes[:2]
        self.area = self.sides[0] * self.sides[1]
        templates = [len(bases) for bases in base_anchors]
        # Every image gets the index range of the largest grid.
        self.columns = grids[:, :, 1].max(0, initial=1)
        per_level = grids[:, :, 0].max(0, initial=1) * self.columns * templates
        self.level_start = np.cumsum(per_level) - per_level
        self.span = int(per_level.sum())
        self.index = np.int32 if len(grids) * self.span < 2**31 else np.int64
        self.num_anchors = (grids.prod(2) * templates).sum(1)

    def windows(
        self, chosen: np.ndarray, min_iou: float
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield windows that hold every pair with IoU >= ``min_iou``.

        Args:
            chosen: Indices of the boxes to look at, int64.
            min_iou: Least IoU that must not be missed, in [0, 1]; 0 means all pairs.

        Yields:
            For one base anchor at a time: box index (k,); anchor index, unique over
            all images, (h, w, k); IoU (h, w, k), -1 outside the grid of the image.
        """
        sides = self.sides[:, chosen].astype(np.float64)
        area = sides[0] * sides[1]
        for level, bases in enumerate(self.base_anchors):
            for template, base in enumerate(bases):
                size = (base[2:] - base[:2]).astype(np.float64)
                # IoU >= t needs an overlap of t / (1 + t) times the sum of areas,
                # hence that divided by the longest overlap of the other axis.
                least = area + size[0] * size[1]
                least *= min_iou / (1 + min_iou) * (1 - _SLACK)
                limit_x, limit_y = np.minimum(sides, size[:, None])
                near = np.flatnonzero(limit_x * limit_y >= least)
                if len(near):
                    least = least[near]
                    overlap_x = least / np.maximum(limit_y[near], 1e-6)
                    overlap_y = least / np.maximum(limit_x[near], 1e-6)
                    if min_iou == 0:  # pairs without overlap too: the whole grid
                        overlap_x = overlap_y = np.full(len(near), -1e9)
                    start = int(self.level_start[level]) + template
                    box = chosen[near]
                    window = self._window(box, level, base, start, overlap_x, overlap_y)
                    yield box, *window

    def _window(
        self,
        box: np.ndarray,
        level: int,
        base: np.ndarray,
        start: int,
        overlap_x: np.ndarray,
        overlap_y: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Index and IoU of the anchors of one base anchor around the given boxes."""
        boxes, stride = self.boxes[:, box], self.strides[level]
        rows, cols = self.grids[self.image[box], level].T
        x, width, over_x = _axis_window(
            boxes[0::2], base[0::2], stride[0], cols, overlap_x
        )
        y, height, over_y = _axis_window(
            boxes[1::2], base[1::2], stride[1], rows, overlap_y
        )
        inter = over_y[:, None] * over_x
        union = height[:, None] * width
        # Area of the box plus the anchor's, minus the overlap: mmdet's order.
        union += self.area[box]
        union -= inter
        np.maximum(union, np.float32(1e-6), out=union)
        iou = np.divide(inter, union, out=inter)
        outside_x, outside_y = over_x < 0, over_y < 0
        if outside_x.any() or outside_y.any():
            np.copyto(iou, np.float32(-1), where=outside_x | outside_y[:, None])
        step = len(self.base_anchors[level])
        row = y * (self.columns[level] * step) + self.image[box] * self.span + start
        anchor = row.astype(self.index)[:, None] + (x * step).astype(self.index)
        return anchor, iou


def best_anchors(
    matcher: Matcher, boxes: np.ndarray, bound: float, min_pos_iou: float
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield the anchors that overlap a box most, of boxes for which that is enough.

    Args:
        matcher: Windows of anchors.
        boxes: Indices of the boxes, int64.
        bound: Overlap that most of them reach, in [0, 1]; others take longer.
        min_pos_iou: Least overlap.

    Yields:
        As :meth:`Matcher.windows`, with a bool (h, w, k) in place of the IoU: whether
        no anchor of the image overlaps the box more.
    """
    best = np.full(len(matcher.image), -1, np.float32)
    while len(boxes):
        # Without a bound a window is the whole grid: few boxes at a time then.
        step = len(boxes) if bound > 0 else _WHOLE_GRIDS
        for start in range(0, len(boxes), step):
            chosen = boxes[start : start + step]
            pairs = list(matcher.windows(chosen, bound))
            best[chosen] = -1
            for box, _, iou in pairs:
                best[box] = np.maximum(best[box], iou.max((0, 1), initial=-1))
            # A maximum below the bound may be missed: it waits for a lower one.
            best[chosen] = np.where(best[chosen] < np.float32(bound), -1, best[chosen])
            for box, anchor, iou in pairs:
                top = best[box]
                top[(top < 0) | (top < np.float32(min_pos_iou))] = 2
                yield box, anchor, iou == top
        boxes = boxes[best[boxes] < 0]
        bound = bound / 4 if bound > 0.02 else 0.0


def count_max_iou_matches(
    boxes: np.ndarray,
    image: np.ndarray,
    pad_shape: np.ndarray,
    base_anchors: Sequence[np.ndarray],
    strides: Sequence[tuple[int, int]],
    pos_iou_thr: float,
    neg_iou_thr: float,
    min_pos_iou: float = 0.0,
    match_low_quality: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Count positive and all training anchors of each image.

    An anchor is positive if its IoU with some box is at least ``pos_iou_thr`` or, with
    low-quality matching, if no anchor of the image overlaps that box more and the
    IoU is at least ``min_pos_iou``. It is ignored if neither holds and its largest
    IoU is at least ``neg_iou_thr``; else it is negative.

    Args:
        boxes: Ground truth x1, y1, x2, y2 in pixels, float32 (m, 4).
        image: Image of each box, int (m,).
        pad_shape: Padded height and width of each image, int (n, 2).
        base_anchors: Base anchors of each level, float32 (templates, 4).
        strides: Horizontal and vertical stride of each level, pixels.
        pos_iou_thr: Least IoU of a positive anchor, at most 1.
        neg_iou_thr: IoU below which an anchor is negative, above 0.
        min_pos_iou: Least IoU of a low-quality match, default 0.
        match_low_quality: Whether each box claims its best anchors, default True.

    Returns:
        Positive anchors, and positive plus negative anchors; int64 (n,) each.

    Raises:
        ValueError: Thresholds out of order.

    Source: the assignment of Faster R-CNN (Ren et al., 2015) as mmdet's
    ``MaxIoUAssigner`` implements it, ties included.
    """
    if not 0 < neg_iou_thr <= pos_iou_thr <= 1:
        raise ValueError(
            "thresholds must satisfy 0 < neg_iou_thr <= pos_iou_thr <= 1, got "
            f"neg_iou_thr={neg_iou_thr}, pos_iou_thr={pos_iou_thr}"
        )
    steps = np.array([(stride_y, stride_x) for stride_x, stride_y in strides])
    grids = -(-pad_shape[:, None, :] // steps)
    matcher = Matcher(boxes, image, grids, base_anchors, strides)
    positive = np.zeros(len(pad_shape) * matcher.span, bool)
    overlapped = np.zeros(len(pad_shape) * matcher.span, bool)
    matched = np.zeros(len(boxes), bool)

    for box, anchor, iou in matcher.windows(np.arange(len(boxes)), neg_iou_thr):
        near = np.flatnonzero(iou >= np.float32(neg_iou_thr))
        anchors = anchor.reshape(-1)[near]
        overlapped[anchors] = True
        above = iou.reshape(-1)[near] >= np.float32(pos_iou_thr)
        positive[anchors[above]] = True
        matched[box[near[above] % len(box)]] = True

    if match_low_quality:
        # The best anchors of a matched box are positive already.
        unmatched = np.flatnonzero(~matched)
        for _, anchor, is_best in best_anchors(
            matcher, unmatched, neg_iou_thr / 4, min_pos_iou
        ):
            positive[anchor[is_best]] = True

    overlapped &= ~positive
    num_positive, num_ignored = (
        # Row by row: far faster than a sum of bools along an axis.
        np.array([np.count_nonzero(row) for row in flags.reshape(-1, matcher.span)])
        for flags in (positive, overlapped)
    )
    return num_positive, matcher.num_anchors - num_ignored
