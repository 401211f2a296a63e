"""Max-IoU assignment, all pairs in plain float32."""

import numpy as np


def all_anchors(base_anchors, strides, pad_shape):
    """Lay out every anchor, level by level, row by row."""
    levels = []
    for bases, (stride_x, stride_y) in zip(base_anchors, strides, strict=True):
        rows = int(np.ceil(pad_shape[0] / stride_y))
        cols = int(np.ceil(pad_shape[1] / stride_x))
        for row in range(rows):
            for col in range(cols):
                shift = np.array([col * stride_x, row * stride_y] * 2, np.float32)
                levels.append(bases + shift)
    return np.concatenate(levels)


def iou_matrix(boxes, anchors):
    """IoU of every box with every anchor, float32 throughout."""
    low = np.maximum(boxes[:, None, :2], anchors[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], anchors[None, :, 2:])
    side = np.maximum(high - low, np.float32(0))
    inter = side[..., 0] * side[..., 1]
    area_b = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    area_a = (anchors[:, 2] - anchors[:, 0]) * (anchors[:, 3] - anchors[:, 1])
    union = area_b[:, None] + area_a[None] - inter
    return inter / np.maximum(union, np.float32(1e-6))


def owners(boxes, anchors, pos_iou, min_pos_iou, low_quality):
    """Box that each anchor of one image is positive for, -1 for none."""
    found = np.full(len(anchors), -1)
    if len(boxes) == 0:
        return found
    iou = iou_matrix(boxes, anchors)
    for anchor, column in enumerate(iou.T):
        if column.max() >= np.float32(pos_iou):
            found[anchor] = column.argmax()
    if low_quality:
        for box, row in enumerate(iou):
            if row.max() >= np.float32(min_pos_iou):
                found[row == row.max()] = box
    return found


def count_matches(boxes, anchors, pos_iou, neg_iou, min_pos_iou, low_quality):
    """Positive, and positive plus negative anchors of one image."""
    if len(boxes) == 0:
        return 0, len(anchors)
    iou = iou_matrix(boxes, anchors)
    best_of_anchor = iou.max(0)
    positive = best_of_anchor >= np.float32(pos_iou)
    if low_quality:
        for row in iou:
            if row.max() >= np.float32(min_pos_iou):
                positive |= row == row.max()
    negative = (best_of_anchor < np.float32(neg_iou)) & ~positive
    return int(positive.sum()), int((positive | negative).sum())
