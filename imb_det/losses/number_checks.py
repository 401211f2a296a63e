"""Checks of the numbers that losses are called with, on a CPU.

A GPU would have to be waited for. There, numbers that cannot be right make the loss of
their row NaN, which stops the training.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .caller import in_head
from .one_pass import SLACK, can_look

__all__ = [
    "check_probabilities",
    "check_range",
    "check_targets",
    "check_weight",
    "impossible_rows",
]


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
    if not can_look(label) or not len(label):
        return
    low, high = (int(end) for end in label.aminmax())
    if high >= num_classes + with_background or (low < 0 and not with_background):
        background = f" or background {num_classes}" * with_background
        raise ValueError(
            f"{in_head(owner)}: labels must be classes 0 to {num_classes - 1}"
            f"{background}, got {high if low >= 0 or with_background else low}"
        )


def check_probabilities(owner: str, option: str, x: Tensor) -> None:
    """Refuse logits where the config promises probabilities, on a CPU.

    Args:
        owner: Name of the loss.
        option: What the config has set, for the message, such as ``activate=False``.
        x: Of any shape.

    Raises:
        ValueError: Numbers outside of [0, 1].
    """
    if not can_look(x) or not x.numel():
        return
    low, high = _ends(x)
    if low < 0 or high > 1:
        raise ValueError(
            f"{in_head(owner)}: with `{option}` it takes probabilities, got numbers "
            f"from {low:g} to {high:g}"
        )


def check_targets(
    owner: str, name: str, target: Tensor, weight: Tensor | None = None
) -> None:
    """Refuse targets that count and are not in [0, 1], up to rounding, on a CPU.

    Args:
        owner: Name of the loss.
        name: Name of the argument.
        target: Targets, (N, ...).
        weight: Factors, (N,) or of the targets' shape; 0 where nothing counts.

    Raises:
        ValueError: The first of them, and where it is.
    """
    if target.dtype == torch.bool or not can_look(target) or not target.numel():
        return
    low, high = _ends(target)
    if low >= -SLACK and high <= 1 + SLACK:  # NaN is not
        return
    outside = ~((target >= -SLACK) & (target <= 1 + SLACK))
    if weight is not None:
        outside &= _like(weight != 0, target)
    if outside.any():
        raise ValueError(
            f"{in_head(owner)}: targets must be in [0, 1], `{name}` has "
            f"{_first(target, outside)}"
        )


def check_weight(
    owner: str, weight: Tensor | None, label: Tensor | None = None
) -> None:
    """Refuse weights that are negative, infinite or no numbers, on a CPU.

    Args:
        owner: Name of the loss.
        weight: Factors, (N,) or (N, ...), or None.
        label: Class of each row, int (N,), ignored below 0; None where none is.

    Raises:
        ValueError: The first of them, and where it is.
    """
    if weight is None or weight.dtype == torch.bool or not weight.numel():
        return
    if not can_look(weight):
        return
    low, high = _ends(weight)
    if low >= 0 and high < math.inf:  # NaN is not
        return
    outside = ~((weight >= 0) & (weight < math.inf))
    if label is not None:
        outside &= _like(label >= 0, weight)
    if outside.any():
        raise ValueError(
            f"{in_head(owner)}: weights must be finite and at least 0, `weight` has "
            f"{_first(weight, outside)}"
        )


def impossible_rows(
    label: Tensor, weight: Tensor | None, num_classes: int
) -> Tensor | None:
    """Find what the checks refuse, where numbers cannot be looked at.

    Args:
        label: Classes, int (N,), or targets (N, K).
        weight: Factors, (N,) or (N, K), or None.
        num_classes: C.

    Returns:
        Rows with a label that is no class or with a weight below 0, bool (N,); None
        where the checks have looked. Impossible targets are found by the kernels, and
        weights that are no numbers make a loss that is none by themselves.
    """
    if can_look(label):
        return None
    found = label > num_classes if label.dim() == 1 else None
    if weight is not None:
        below = weight < 0 if weight.dim() == 1 else (weight < 0).any(1)
        if label.dim() == 1:
            below = below & (label >= 0)
        found = below if found is None else found | below
    return found


def _ends(x: Tensor) -> tuple[float, float]:
    """Return the least and the largest number: comparing tensors takes longer."""
    low, high = x.detach().aminmax()
    return float(low), float(high)


def _like(rows: Tensor, other: Tensor) -> Tensor:
    """Return (N,) in a shape that fits (N, ...); the same shape is left alone."""
    return (
        rows if rows.dim() == other.dim() else rows.view(-1, *[1] * (other.dim() - 1))
    )


def _first(values: Tensor, where: Tensor) -> str:
    """Name the first of some elements, and how many there are."""
    index = where.nonzero()[0].tolist()
    place = f"row {index[0]}"
    if len(index) > 1:
        place += f", column {', '.join(map(str, index[1:]))}"
    more = int(where.sum()) - 1
    text = f"{values[tuple(index)].item():g} in {place}"
    return text + f" and {more} more" * bool(more)
