"""Masks of instances, in the forms in which heads pass them to their losses."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .caller import in_head
from .number_checks import check_range, check_weight
from .one_pass import can_look

__all__ = ["MaskRows", "mask_rows"]

_FORMS = (
    "predictions and targets (N, ...) with weights, float (N,), or none; predictions "
    "(N, C, ...), targets (N, ...) and labels, int (N,); or, where the head tells the "
    "classes of N instances, points (N * P,)"
)


class MaskRows(NamedTuple):
    """Masks of N instances.

    Args:
        pred: Predictions, float (N, ...).
        target: Masks in [0, 1], (N, ...).
        labels: Class of each, int (N,), or None where the call does not say.
        weight: Factor of each, (N,), or None.
        num_classes: C, where there are labels.
        points: How many losses the head takes the one of an instance for: 1, or P
            where it passes single points.
        valid: Which labels are classes, bool (N,), where nobody has looked; else None.
    """

    pred: Tensor
    target: Tensor
    labels: Tensor | None = None
    weight: Tensor | None = None
    num_classes: int = 0
    points: int = 1
    valid: Tensor | None = None


def mask_rows(
    owner: str,
    pred: Tensor,
    target: Tensor,
    third: Tensor | None,
    told: Tensor | None,
) -> MaskRows:
    """Bring a call into one form.

    Args:
        owner: Name of the loss.
        pred: Predictions.
        target: Masks.
        third: Weights or labels, or None.
        told: Classes of the instances, int (N,), as the head has told them, or None.

    Raises:
        ValueError: Shapes, labels or weights that do not fit.
    """
    if pred.dim() > 2 and pred.dim() == target.dim() + 1 and third is not None:
        if pred.shape[:1] + pred.shape[2:] == target.shape:
            return _of_own_classes(owner, pred, target, third)
    elif pred.dim() == 2 and pred.size(1) == 1 and target.dim() == 1:
        if third is None and len(pred) == len(target):
            # One class and "background", as mmdet's focal loss has them: 1 is outside.
            return _of_points(owner, pred.squeeze(1), 1 - target, told)
    elif pred.dim() == 1:
        if third is None and pred.shape == target.shape:
            return _of_points(owner, pred, target, told)
    elif pred.shape == target.shape and pred.dim() > 1:
        if third is None:
            return MaskRows(pred, target)
        is_weight = third.is_floating_point() or third.dtype == torch.bool
        if is_weight and third.shape == pred.shape[:1]:
            check_weight(owner, third)
            return MaskRows(pred, target, weight=third)
    raise ValueError(
        f"{in_head(owner)}: it takes {_FORMS}; got "
        + ", ".join(_shown(x) for x in (pred, target, third))
    )


def _of_own_classes(
    owner: str, pred: Tensor, target: Tensor, labels: Tensor
) -> MaskRows:
    """Take the mask of each instance's own class, as heads of RoIs have one a class."""
    n, channels = pred.shape[:2]
    whole = not (labels.is_floating_point() or labels.dtype == torch.bool)
    if labels.shape != pred.shape[:1] or not whole:
        raise ValueError(
            f"{in_head(owner)}: predictions {tuple(pred.shape)} need labels, int "
            f"(N,), got {_shown(labels)}"
        )
    labels = labels.long()  # bytes would be taken for a mask
    check_range(owner, labels, channels, with_background=False)
    valid = None
    if not can_look(labels):  # an index out of range would stop a GPU
        valid = (labels >= 0) & (labels < channels)
        labels = torch.where(valid, labels, 0)
    own = pred[torch.arange(n, device=pred.device), labels]
    return MaskRows(own, target, labels, num_classes=channels, valid=valid)


def _of_points(
    owner: str, pred: Tensor, target: Tensor, told: Tensor | None
) -> MaskRows:
    """Cut a row of points into those of the instances."""
    if told is None:
        raise RuntimeError(
            f"{in_head(owner)}: the head passes the points of all masks in one row, "
            "and does not tell of how many instances they are; use "
            "`type='imb_det.Mask2FormerHead'` or `'imb_det.MaskFormerHead'`"
        )
    n = len(told)
    if len(pred) % max(n, 1):
        raise ValueError(
            f"{in_head(owner)}: {len(pred)} points are not those of {n} instances"
        )
    points = len(pred) // max(n, 1)
    shape = (n, points)
    return MaskRows(pred.reshape(shape), target.reshape(shape), points=points)


def _shown(x: Tensor | None) -> str:
    return f"{x.dtype} {tuple(x.shape)}" if isinstance(x, Tensor) else repr(x)
