"""Loss and gradient of sigmoid classification in one pass over the logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "Element",
    "attach_gradient",
    "chunks",
    "compute_dtype",
    "joined_weight",
    "mirrored",
    "sigmoid_pass",
]

#: Loss and derivative by the logit of a *negative*, element by element. A positive of
#: logit z is a negative of logit -z, with the derivative negated. For targets in
#: [0, 1] the loss is the mean of both, weighted by the target, unless the element has a
#: method ``soft(z, target)`` of its own.
Element = Callable[[Tensor], tuple[Tensor, Tensor]]

# Elements of a chunk: the temporaries of a chunk stay in a CPU's cache, and a GPU is
# busy with it for longer than it takes to launch the kernels.
_CHUNK = {"cpu": 1 << 17}
_GPU_CHUNK = 1 << 22


def sigmoid_pass(
    element: Element,
    cls_score: Tensor,
    label: Tensor,
    weight: Tensor | None = None,
    positive: Tensor | None = None,
    negative: Tensor | None = None,
    per_row: bool = True,
) -> tuple[Tensor, Tensor]:
    """Return the loss and its gradient by the logits; no autograd, no one-hot copy.

    Outside of ``torch.compile`` it runs over chunks of rows, so that it reads the
    logits once, writes the gradient once and needs no other memory of their size.

    Args:
        element: Loss of a negative.
        cls_score: Logits, float (N, C).
        label: Class of each row, int (N,), C and above for none, below 0 to ignore the
            row; or targets, float (N, C) in [0, 1].
        weight: Factor of each row, float (N,), or element, (N, C).
        positive: Factor of positives by class, float (C,) or scalar.
        negative: Factor of negatives by class, float (C,) or scalar.
        per_row: Whether to sum the loss over classes.

    Returns:
        Loss, float32 (float64 for float64 logits) of shape (N,), or (N, C) unless
        ``per_row``; gradient of the loss, (N, C), in the logits' type, float32 for
        float16, whose range is too small for gradients before the mean is taken.
    """
    n, c = cls_score.shape
    rest = (positive, negative, per_row)
    if (parts := chunks(cls_score)) is None:
        return _chunk(element, cls_score, label, weight, *rest)
    dtype = compute_dtype(cls_score)
    loss = cls_score.new_empty((n,) if per_row else (n, c), dtype=dtype)
    slope = torch.empty_like(cls_score, dtype=_gradient_dtype(cls_score))
    for rows in parts:
        part = None if weight is None else weight[rows]
        loss[rows], slope[rows] = _chunk(
            element, cls_score[rows], label[rows], part, *rest
        )
    return loss, slope


def chunks(cls_score: Tensor) -> list[slice] | None:
    """Cut the rows so that the temporaries of a part stay small.

    Args:
        cls_score: Logits, (N, C).

    Returns:
        Ranges of rows; None where all rows are one part, which under ``torch.compile``
        is always so, as compiled code has no temporaries.
    """
    if torch.compiler.is_compiling():
        return None
    n, c = cls_score.shape
    step = max(_CHUNK.get(cls_score.device.type, _GPU_CHUNK) // max(c, 1), 1)
    if n <= step:
        return None
    return [slice(begin, begin + step) for begin in range(0, n, step)]


def mirrored(z: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Negate the logits of the labelled classes: then all elements are negatives.

    Args:
        z: Logits, (N, C).
        label: Class of each row, int (N,), outside of [0, C) for none.

    Returns:
        Logits (N, C); which elements are positives, bool (N, C).
    """
    classes = torch.arange(z.size(1), device=z.device, dtype=torch.int32)
    target = label.to(torch.int32)[:, None] == classes
    return torch.where(target, -z, z), target


def _chunk(
    element: Element,
    cls_score: Tensor,
    label: Tensor,
    weight: Tensor | None,
    positive: Tensor | None,
    negative: Tensor | None,
    per_row: bool,
) -> tuple[Tensor, Tensor]:
    """Loss and gradient of some rows."""
    z = cls_score.to(compute_dtype(cls_score))
    if label.dim() == 2:
        loss, slope = _soft(element, z, label.to(z.dtype), positive, negative)
    else:
        loss, slope = _hard(element, z, label, positive, negative)
    if (factor := joined_weight(label, weight)) is not None:
        loss, slope = loss * factor, slope * factor
    if per_row:
        loss = loss.sum(1)
    return loss, slope.to(_gradient_dtype(cls_score))


def joined_weight(label: Tensor, weight: Tensor | None) -> Tensor | None:
    """Join weights and ignored rows to one factor.

    Args:
        label: Class of each row, (N,), ignored below 0, or targets (N, C).
        weight: Factor of each row, (N,), or element, (N, C), or None.

    Returns:
        Factor (N, 1) or (N, C), bool where nothing has a weight; None for all 1.
    """
    if weight is not None and weight.dim() == 1:
        weight = weight[:, None]
    if label.dim() == 2:
        return weight
    counts = (label >= 0)[:, None]
    return counts if weight is None else torch.where(counts, weight, 0)


def _hard(
    element: Element,
    z: Tensor,
    label: Tensor,
    positive: Tensor | None,
    negative: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Loss and gradient where each row has one class or none."""
    mirror, target = mirrored(z, label)
    loss, slope = element(mirror)
    slope = torch.where(target, -slope, slope)
    if positive is not None or negative is not None:
        one = z.new_ones(())
        factor = torch.where(
            target,
            one if positive is None else positive.to(z.dtype),
            one if negative is None else negative.to(z.dtype),
        )
        loss, slope = loss * factor, slope * factor
    return loss, slope


def _soft(
    element: Element,
    z: Tensor,
    target: Tensor,
    positive: Tensor | None,
    negative: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Loss and gradient for targets in [0, 1]."""
    soft = getattr(element, "soft", None)
    if soft is not None:
        return soft(z, target)
    loss_of_one, slope_of_one = element(-z)
    loss_of_zero, slope_of_zero = element(z)
    one, zero = target, 1 - target
    if positive is not None:
        one = one * positive.to(z.dtype)
    if negative is not None:
        zero = zero * negative.to(z.dtype)
    return (
        one * loss_of_one + zero * loss_of_zero,
        zero * slope_of_zero - one * slope_of_one,
    )


def compute_dtype(x: Tensor) -> torch.dtype:
    """Return the type that losses compute in: at least float32."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _gradient_dtype(x: Tensor) -> torch.dtype:
    return torch.float32 if x.dtype == torch.float16 else x.dtype


class _AttachGradient(torch.autograd.Function):
    """Gives a ready loss a ready gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, loss: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return loss.view_as(loss)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        (grad_output,) = grad_outputs
        if grad_output.dim() < gradient.dim():
            grad_output = grad_output[:, None]
        return gradient * grad_output, None, None


def attach_gradient(x: Tensor, loss: Tensor, gradient: Tensor) -> Tensor:
    """Return ``loss`` as a function of ``x`` with the given gradient.

    Args:
        x: Input, float (N, C).
        loss: Loss of each row (N,) or element (N, C), without a graph.
        gradient: Derivative of the loss by ``x``, (N, C).

    Returns:
        The loss; its backward only scales ``gradient``. It has no second derivative.
    """
    return _AttachGradient.apply(x, loss, gradient)  # type: ignore[no-untyped-call]
