"""Positive and all candidates of a dense head, image by image, from boxes alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from .anchor_matching import count_max_iou_matches
from .anchor_owners import count_anchors_of_boxes
from .boxes import TrainingBoxes

__all__ = ["count_targets", "count_targets_of_boxes", "uses_plain_max_iou"]


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
    if uses_plain_max_iou(head):
        return count_max_iou_matches(*_of_max_iou(head, table, pad_shape))
    return _by_targets(head, table, pad_shape)


def count_targets_of_boxes(
    head: Any, table: TrainingBoxes, pad_shape: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Count the positive candidates of each box on each level, as the assigner does.

    Args:
        head: As for :func:`count_targets`.
        table: Boxes of n images, m in all.
        pad_shape: Height and width of the padded images, int (n, 2), pixels.

    Returns:
        Positive candidates, int64 (m, levels), 0 for ignored boxes; their sum over the
        boxes of an image is what :func:`count_targets` counts. Positive and negative
        ones of each image, int (n,).
    """
    levels = len(head.prior_generator.strides)
    counts = np.zeros((len(table.boxes), levels), np.int64)
    if uses_plain_max_iou(head):
        taken = ~table.ignored
        arguments = _of_max_iou(head, table, pad_shape)
        counts[taken] = count_anchors_of_boxes(*arguments)
        return counts, count_max_iou_matches(*arguments)[1]
    candidates = np.zeros(len(table), np.int64)
    classes = head.num_classes
    # In place of its class each box has a number of its own.
    numbered = replace(table, labels=_places(table))
    head.num_classes = int(numbered.labels.max(initial=0)) + 1
    try:
        for index in range(len(table)):
            label, is_used, sizes = _of_image(head, numbered, pad_shape, index)
            candidates[index] = int(is_used.sum())
            is_positive = is_used & (label >= 0) & (label < head.num_classes)
            level = np.repeat(np.arange(levels), sizes)
            first = np.searchsorted(table.image, index)
            hits = is_positive.numpy()
            np.add.at(counts, (first + label.numpy()[hits], level[hits]), 1)
    finally:
        head.num_classes = classes
    return counts, candidates


def _places(table: TrainingBoxes) -> np.ndarray:
    """Return the place of each box among those of its image."""
    return np.arange(len(table.image)) - np.searchsorted(table.image, table.image)


def uses_plain_max_iou(head: Any) -> bool:
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


def _of_max_iou(head: Any, table: TrainingBoxes, pad_shape: np.ndarray) -> tuple:
    """Return what the arithmetic of a max-IoU assignment is called with."""
    taken = ~table.ignored
    assigner, generator = head.assigner, head.prior_generator
    return (
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
    counts = np.zeros((2, len(table)), np.int64)
    for index in range(len(table)):
        label, is_used, _ = _of_image(head, table, pad_shape, index)
        is_positive = is_used & (label >= 0) & (label < head.num_classes)
        counts[0, index] = int(is_positive.sum())
        counts[1, index] = int(is_used.sum())
    return counts[0], counts[1]


def _of_image(
    head: Any, table: TrainingBoxes, pad_shape: np.ndarray, index: int
) -> tuple[torch.Tensor, torch.Tensor, list[int]]:
    """Return label and use of the candidates of an image, and how many a level has."""
    from mmengine.structures import InstanceData

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
    generator = head.prior_generator
    grids = [
        (-(-padded[0] // stride_y), -(-padded[1] // stride_x))
        for stride_x, stride_y in generator.strides
    ]
    priors = generator.num_base_priors
    sizes = [h * w * k for (h, w), k in zip(grids, priors, strict=True)]
    label, is_used = _targets(head, grids, meta, *instances)
    return label, is_used, sizes


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
