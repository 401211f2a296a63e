"""Checks of what losses are called with: shapes everywhere, numbers on a CPU.

A GPU would have to be waited for. There, numbers that cannot be right make the loss of
their row NaN, which stops the training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from imb_det.core import and_more, is_number

from .caller import in_head, instead
from .one_pass import SLACK, can_look

__all__ = [
    "check_avg_factor",
    "check_inputs",
    "check_range",
    "check_targets",
    "check_weight",
    "impossible_rows",
    "refuse_unknown",
]


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
        ValueError: Shapes, labels, targets or weights that do not fit, or that want a
            gradient.
    """
    if not isinstance(label, Tensor):
        raise TypeError(
            f"{in_head(owner)}: `label` must be a tensor, got {type(label).__name__}; "
            "heads that pass (label, quality), as GFL, TOOD and RTMDet do, need a "
            "quality focal loss: `loss_cls=dict(type='mmdet.QualityFocalLoss', "
            "use_sigmoid=True)`"
        )
    shape = tuple(cls_score.shape)
    if cls_score.dim() != 2:
        place = in_head(owner)
        of_masks = cls_score.dim() > 2 and ("loss_mask" in place or place == owner)
        masks = "; the loss of a mask head is made with `use_mask=True`" * of_masks
        raise ValueError(
            f"{place}: `cls_score` must have shape (N, channels), got {shape}{masks}; "
            f"{instead(owner)}"
        )
    n, channels = shape
    whole = not (label.is_floating_point() or label.dtype == torch.bool)
    if tuple(label.shape) not in ((n,), shape) or (label.dim() == 1 and not whole):
        raise ValueError(
            f"{in_head(owner)}: `label` must hold {n} class indices, int ({n},), or "
            f"targets {shape} for the logits {shape}, got {label.dtype} "
            f"{tuple(label.shape)}"
        )
    if weight is not None:
        if tuple(weight.shape) == (n,):
            pass
        elif use_sigmoid and tuple(weight.shape) in (shape, (n * channels,)):
            weight = weight.reshape(shape)
        else:
            elements = f", {shape} or ({n * channels},)" if use_sigmoid else ""
            raise ValueError(
                f"{in_head(owner)}: `weight` must have shape ({n},){elements} for the "
                f"logits {shape}, got {tuple(weight.shape)}"
            )
    _refuse_gradients(owner, label=label, weight=weight)
    if label.dim() == 1:
        check_range(owner, label, num_classes)
        known = label >= 0
    else:
        check_targets(owner, "label", label, weight)
        known = None
    check_weight(owner, weight, known)
    return weight


def _refuse_gradients(owner: str, **inputs: Tensor | None) -> None:
    """Refuse to lose a gradient in silence: there is one by the logits alone."""
    if not torch.is_grad_enabled():
        return
    for name, value in inputs.items():
        if value is not None and value.requires_grad:
            raise ValueError(
                f"{in_head(owner)}: `{name}` wants a gradient, and the loss has one by "
                f"the logits alone; pass `{name}.detach()`"
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
    if not can_look(label) or not len(label):
        return
    low, high = (int(end) for end in label.aminmax())
    if high >= num_classes + with_background or (low < 0 and not with_background):
        background = f" or background {num_classes}" * with_background
        raise ValueError(
            f"{in_head(owner)}: labels must be classes 0 to {num_classes - 1}"
            f"{background}, got {high if low >= 0 or with_background else low}"
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
    low, high = target.aminmax()
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
    owner: str, weight: Tensor | None, known: Tensor | None = None
) -> None:
    """Refuse weights that are negative, infinite or no numbers, on a CPU.

    Args:
        owner: Name of the loss.
        weight: Factors, (N,) or (N, ...), or None.
        known: Rows that are not ignored, bool (N,); None for all.

    Raises:
        ValueError: The first of them, and where it is.
    """
    if weight is None or weight.dtype == torch.bool or not weight.numel():
        return
    if not can_look(weight):
        return
    low, high = weight.aminmax()
    if low >= 0 and high < math.inf:  # NaN is not
        return
    outside = ~((weight >= 0) & (weight < math.inf))
    if known is not None:
        outside &= _like(known, weight)
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


def check_avg_factor(owner: str, avg_factor: Any) -> float | Tensor | None:
    """Return ``avg_factor`` as a number or a scalar, if that is what it is.

    Args:
        owner: Name of the loss.
        avg_factor: One number, finite and at least 0, also as a tensor; or None. On a
            GPU a tensor that is not becomes NaN.

    Raises:
        TypeError: No number.
        ValueError: Several numbers, or one that nothing can be divided by.
    """
    factor = avg_factor
    if avg_factor is None:
        return None
    if isinstance(avg_factor, Tensor):
        if avg_factor.numel() != 1 or avg_factor.dtype == torch.bool:
            raise ValueError(
                f"{in_head(owner)}: `avg_factor` must be one number, got "
                f"{avg_factor.dtype} {tuple(avg_factor.shape)}"
            )
        factor = avg_factor.reshape(())
        if not can_look(factor):
            fits = (factor >= 0) & (factor < math.inf)
            return torch.where(fits, factor, math.nan)
        avg_factor = avg_factor.detach()
    elif torch.compiler.is_compiling():
        return avg_factor
    elif not is_number(avg_factor):
        raise TypeError(
            f"{in_head(owner)}: `avg_factor` must be a number, got {avg_factor!r}"
        )
    number = float(avg_factor)
    if not 0 <= number < math.inf:
        raise ValueError(
            f"{in_head(owner)}: `avg_factor` must be finite and at least 0, got "
            f"{number}"
        )
    return factor


def refuse_unknown(owner: str, arguments: Mapping[str, Any]) -> None:
    """Refuse what a head passes by name and the loss would leave aside.

    Raises:
        TypeError: There is something.
    """
    if arguments:
        raise TypeError(
            f"{in_head(owner)}: it is called with {and_more(arguments)}, which it has "
            f"no use for; {instead(owner)}"
        )


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
