"""Checks of what losses are called with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from imb_det.core import and_more, is_number

from .call_forms import no_labels, refuse_masks
from .caller import in_head, instead
from .number_checks import check_range, check_targets, check_weight
from .one_pass import can_look
from .terms import Call

__all__ = ["check_avg_factor", "check_inputs", "refuse_gradients", "refuse_unknown"]


def check_inputs(
    owner: str,
    cls_score: Tensor,
    label: Tensor,
    weight: Tensor | None,
    use_sigmoid: bool,
    num_classes: int,
    quality: Tensor | None = None,
) -> Tensor | None:
    """Check the tensors of a call and bring the weight into shape.

    Args:
        owner: Name of the loss.
        cls_score: Logits.
        label: Classes or targets.
        weight: Factors, or None.
        use_sigmoid: Whether weights of elements make sense.
        num_classes: Number of classes, which is also the label of background.
        quality: Targets of the classes of rows, or None. Default: None.

    Returns:
        The weight, (N,) or (N, C), or None.

    Raises:
        TypeError: Labels that are no tensor.
        ValueError: Shapes, labels, targets or weights that do not fit, or that want a
            gradient.
    """
    if not isinstance(label, Tensor):
        raise no_labels(owner, type(label).__name__)
    shape = tuple(cls_score.shape)
    if cls_score.dim() != 2:
        refuse_masks(owner, shape)
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
    if quality is not None and not (
        label.dim() == 1 and quality.is_floating_point() and quality.shape == (n,)
    ):
        raise ValueError(
            f"{in_head(owner)}: a pair must be of labels, int ({n},), and qualities, "
            f"float ({n},), for the logits {shape}, got {label.dtype} "
            f"{tuple(label.shape)} and {quality.dtype} {tuple(quality.shape)}"
        )
    refuse_gradients(owner, label=label, quality=quality, weight=weight)
    if label.dim() == 1:
        check_range(owner, label, num_classes)
    else:
        check_targets(owner, "label", label, weight)
    if quality is not None:
        counts = Call(cls_score, label, weight, num_classes, False).is_object
        check_targets(owner, "quality", quality, counts)
    check_weight(owner, weight, label if label.dim() == 1 else None)
    return weight


def refuse_gradients(owner: str, **inputs: Tensor | None) -> None:
    """Refuse to lose a gradient in silence: there is one by the logits alone.

    Args:
        owner: Name of the loss.
        **inputs: What else it is called with, by name.

    Raises:
        ValueError: One wants a gradient.
    """
    if not torch.is_grad_enabled():
        return
    for name, value in inputs.items():
        if value is not None and value.requires_grad:
            raise ValueError(
                f"{in_head(owner)}: `{name}` wants a gradient, and the loss has one by "
                f"the logits alone; pass `{name}.detach()`"
            )


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
