"""Checks of arguments, and of what losses are called with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["NUMBERS", "check_choice", "check_inputs", "check_number"]

NUMBERS = (int, float, np.integer, np.floating)


def check_choice(owner: str, name: str, value: Any, choices: Sequence[Any]) -> None:
    """Raise ValueError unless ``value`` is one of ``choices``, in type as well."""
    if not any(value is c or (value == c and type(value) is type(c)) for c in choices):
        raise ValueError(f"{owner}: `{name}` must be one of {choices}, got {value!r}")


def check_number(
    owner: str,
    name: str,
    value: Any,
    low: float,
    high: float | None,
    *,
    open_ends: bool = False,
) -> None:
    """Raise unless ``value`` is a finite number of a range.

    Raises:
        TypeError: No number.
        ValueError: Out of range.
    """
    if isinstance(value, bool) or not isinstance(value, NUMBERS):
        raise TypeError(f"{owner}: `{name}` must be a number, got {value!r}")
    inside = low < value if open_ends else low <= value
    if high is not None:
        inside = inside and (value < high if open_ends else value <= high)
    if not (inside and math.isfinite(value)):
        left, right = "()" if open_ends else "[]"
        end = "inf)" if high is None else f"{high}{right}"
        raise ValueError(
            f"{owner}: `{name}` must be in {left}{low}, {end}, got {value!r}"
        )


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
        raise ValueError(
            f"{owner}: `cls_score` must have shape (N, channels), got {shape}"
        )
    n, channels = shape
    whole = not (label.is_floating_point() or label.dtype == torch.bool)
    if tuple(label.shape) not in ((n,), shape) or (label.dim() == 1 and not whole):
        raise ValueError(
            f"{owner}: `label` must hold {n} class indices, int ({n},), or targets "
            f"{shape} for the logits {shape}, got {label.dtype} {tuple(label.shape)}"
        )
    if label.dim() == 1:
        _check_range(owner, label, num_classes)
    if weight is None or tuple(weight.shape) == (n,):
        return weight
    if use_sigmoid and tuple(weight.shape) in (shape, (n * channels,)):
        return weight.reshape(shape)
    elements = f", {shape} or ({n * channels},)" if use_sigmoid else ""
    raise ValueError(
        f"{owner}: `weight` must have shape ({n},){elements} for the logits {shape}, "
        f"got {tuple(weight.shape)}"
    )


def _check_range(owner: str, label: Tensor, num_classes: int) -> None:
    """Refuse labels above background where looking costs nothing: on a CPU."""
    if torch.compiler.is_compiling() or label.device.type != "cpu" or not len(label):
        return
    if (largest := int(label.max())) > num_classes:
        raise ValueError(
            f"{owner}: labels must be classes 0 to {num_classes - 1} or background "
            f"{num_classes}, got {largest}"
        )
