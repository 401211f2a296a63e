"""Detections of several detectors on one image, fused into one set."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmdet.models.utils import weighted_boxes_fusion
from mmengine.structures import InstanceData

__all__ = ["fuse_boxes"]


def fuse_boxes(
    found: Sequence[InstanceData],
    shares: Sequence[float],
    iou_thr: float = 0.55,
    most: int | None = None,
) -> InstanceData:
    r"""Fuse the detections of K detectors by weighted boxes fusion.

    Boxes of one class that overlap by more than the threshold are one object:

    .. math:: b = \frac{\sum_i w_i s_i b_i}{\sum_i w_i s_i}, \qquad
              s = \sum_i w_i s_i \cdot \frac{\min(K, n)}{n}

    over the n boxes of the object, with shares w of the detectors whose sum is 1: one
    that only some of them have found has a lower score.

    Args:
        found: Detections of each, with ``bboxes`` (n, 4), ``scores`` and ``labels``.
        shares: w, K numbers >= 0 with sum 1.
        iou_thr: Overlap, in (0, 1). Default 0.55.
        most: Number of detections that are left, the best; None for all. Default None.

    Returns:
        ``bboxes``, ``scores`` and ``labels``, the best first. Boxes without area, and
        those with a score or share of 0, are in none.

    Source: Solovyev et al., "Weighted boxes fusion: Ensembling boxes from different
    object detection models", Image and Vision Computing 2021, in mmdet's form.
    """
    like = found[0]
    kept = []
    for own in found:
        sides = own.bboxes[:, 2:] - own.bboxes[:, :2]
        kept.append(own[(own.scores > 0) & (sides > 0).all(1)])
    pairs = [(own, share) for own, share in zip(kept, shares, strict=True) if share > 0]
    boxes, scores, labels = weighted_boxes_fusion(
        [own.bboxes.tolist() for own, _ in pairs],
        [own.scores.tolist() for own, _ in pairs],
        [own.labels.tolist() for own, _ in pairs],
        weights=[share for _, share in pairs],
        iou_thr=iou_thr,
    )
    return InstanceData(
        bboxes=boxes.reshape(-1, 4)[:most].to(like.bboxes),
        scores=scores[:most].to(like.scores),
        labels=labels[:most].to(device=like.labels.device, dtype=torch.long),
    )
