"""Positive and all candidates of a dense head, image by image, from boxes alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .anchor_matching import count_max_iou_matches
from .boxes import TrainingBoxes

__all__ = ["count_targets"]


def count_targets(
    head: Any, table: TrainingBoxes, pad_shape: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Count as the head's own assigner does, with anchors or points on padded images.

    A plain max-IoU assignment is counted for many images at once, any other through
    the head's ``get_targets``, image by image; both give the same numbers.

    Args:
        head: Dense head, see :func:`imb_det.prior.foreground_prior`.
        table: Boxes of n images.
        pad_shape: Height and width of the padded images, int (n, 2), pixels.

    Returns:
        Positive candidates, and positive and negative ones, of each image; int (n,).
    """
    count = _by_arithmetic if _uses_plain_max_iou(head) else _by_targets
    return count(head, table, pad_shape)


def _uses_plain_max_iou(head: Any) -> bool:
    """Tell whether the arithmetic of ``count_max_iou_matches`` is the head's own."""
    assigner: Any = getattr(head, "assigner", None)
    generator = head.prior_generator
    return (
        type(assigner).__name__ == "MaxIoUAssigner"
        and type(generator).__name__ == "AnchorGenerator"
        and type(assigner.iou_calculator).__name__ == "BboxOverlaps2D"
        and assigner.iou_calculator.dtype is None
        and assigner.gt_max_assign_all
        and getattr(assigner, "perm_repeat_gt_cfg", None) is None
        and isinstance(assigner.neg_iou_thr, float)
        and 0 < assigner.neg_iou_thr <= assigner.pos_iou_thr
        and assigner.ignore_iof_thr <= 0
        and head.train_cfg["allowed_border"] < 0
        and type(head.sampler).__name__ == "PseudoSampler"
    )


def _by_arithmetic(
    head: Any, table: TrainingBoxes, pad_shape: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    taken = ~table.ignored
    assigner, generator = head.assigner, head.prior_generator
    return count_max_iou_matches(
        table.boxes[taken],
        table.image[taken],
        pad_shape,
        [base.numpy(force=True) for base in generator.base_anchors],
        generator.strides,
        assigner.pos_iou_thr,
        assigner.neg_iou_thr,
        assigner.min_pos_iou,
        assigner.match_low_quality,
    )


def _by_targets(
    head: Any, table: TrainingBoxes, pad_shape: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Ask the head for its own targets, one image at a time, on the CPU."""
    from mmengine.structures import InstanceData

    counts = np.zeros((2, len(table)), np.int64)
    for index in range(len(table)):
        rows = table.image == index
        instances = [
            InstanceData(
                bboxes=torch.from_numpy(table.boxes[rows & flag]),
                labels=torch.from_numpy(table.labels[rows & flag]).clamp(
                    max=head.num_classes - 1  # an RPN knows one class only
                ),
            )
            for flag in (~table.ignored, table.ignored)
        ]
        padded = tuple(int(side) for side in pad_shape[index])
        meta = {"img_shape": tuple(table.img_shape[index]), "pad_shape": padded}
        grids = [
            (-(-padded[0] // stride_y), -(-padded[1] // stride_x))
            for stride_x, stride_y in head.prior_generator.strides
        ]
        label, is_used = _targets(head, grids, meta, *instances)
        is_positive = is_used & (label >= 0) & (label < head.num_classes)
        counts[0, index] = int(is_positive.sum())
        counts[1, index] = int(is_used.sum())
    return counts[0], counts[1]


def _targets(
    head: Any, grids: list[tuple[int, int]], meta: dict, taken: Any, ignored: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return label of every candidate of an image, and which are used, both (n,)."""
    if hasattr(head, "regress_ranges"):  # FCOS and its like: points, all of them used
        points = head.prior_generator.grid_priors(grids, device="cpu")
        label = torch.cat(head.get_targets(points, [taken])[0])
        return label, torch.ones_like(label, dtype=torch.bool)
    anchors, valid = head.get_anchors(grids, [meta], device="cpu")
    targets = head.get_targets(
        anchors, valid, [taken], [meta], batch_gt_instances_ignore=[ignored]
    )
    # Labels and their weights come first, or, in ATSS and GFL, after the anchors.
    start = 0 if targets[0][0].dtype == torch.long else 1
    label, weight = (
        torch.cat([level.flatten() for level in levels])
        for levels in targets[start : start + 2]
    )
    return label, weight > 0
