"""Checks of what losses are called with."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["check_inputs", "check_range"]


def check_inputs(
    owner: str,
    cls_score: Tensor,
    label: Tensor,
    weight: Tensor | None,
    use_sigmoid: bool,
    num_classes: int,
) -> Tensor | None:
    """Check the tensors of a call and bring the weight into shape.

    Args:
        owner: Name of the loss.
        cls_score: Logits.
        label: Classes or targets.
        weight: Factors, or None.
        use_sigmoid: Whether weights of elements make sense.
        num_classes: Number of classes, which is also the label of background.

    Returns:
        The weight, (N,) or (N, C), or None.

    Raises:
        TypeError: Labels that are no tensor.
        ValueError: Shapes or labels that do not fit.
    """
    if not isinstance(label, Tensor):
        raise TypeError(
            f"{owner}: `label` must be a tensor, got {type(label).__name__}; heads "
            "that pass (label, quality), as GFL, TOOD and RTMDet do, need a quality "
            "focal loss"
        )
    shape = tuple(cls_score.shape)
    if cls_score.dim() != 2:
        masks = "; the loss of a mask head is made with `use_mask=True`"
        raise ValueError(
            f"{owner}: `cls_score` must have shape (N, channels), got {shape}"
            + masks * (cls_score.dim() > 2)
        )
    n, channels = shape
    whole = not (label.is_floating_point() or label.dtype == torch.bool)
    if tuple(label.shape) not in ((n,), shape) or (label.dim() == 1 and not whole):
        raise ValueError(
            f"{owner}: `label` must hold {n} class indices, int ({n},), or targets "
            f"{shape} for the logits {shape}, got {label.dtype} {tuple(label.shape)}"
        )
    if label.dim() == 1:
        check_range(owner, label, num_classes)
    if weight is None or tuple(weight.shape) == (n,):
        return weight
    if use_sigmoid and tuple(weight.shape) in (shape, (n * channels,)):
        return weight.reshape(shape)
    elements = f", {shape} or ({n * channels},)" if use_sigmoid else ""
    raise ValueError(
        f"{owner}: `weight` must have shape ({n},){elements} for the logits {shape}, "
        f"got {tuple(weight.shape)}"
    )


def check_range(
    owner: str, label: Tensor, num_classes: int, with_background: bool = True
) -> None:
    """Refuse labels that are no class where looking costs nothing: on a CPU.

    Args:
        owner: Name of the loss.
        label: Classes, int (N,).
        num_classes: C.
        with_background: Whether C is background and below 0 is ignored. Default True.

    Raises:
        ValueError: A label out of range, and what labels may be.
    """
    if torch.compiler.is_compiling() or label.device.type != "cpu" or not len(label):
        return
    low, high = int(label.min()), int(label.max())
    if high >= num_classes + with_background or (low < 0 and not with_background):
        background = f" or background {num_classes}" * with_background
        raise ValueError(
            f"{owner}: labels must be classes 0 to {num_classes - 1}{background}, got "
            f"{high if low >= 0 or with_background else low}"
        )
