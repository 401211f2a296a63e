"""A ready gradient for a ready loss, and the types that losses compute in."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["attach_gradient", "compute_dtype", "gradient_dtype", "multiplied"]


def compute_dtype(x: Tensor) -> torch.dtype:
    """Return the type that losses compute in: at least float32."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def gradient_dtype(x: Tensor) -> torch.dtype:
    """Return the type of gradients: of float16 the range is too small before a mean."""
    return torch.float32 if x.dtype == torch.float16 else x.dtype


def multiplied(x: Tensor, factor: Tensor, out: Tensor | None) -> Tensor:
    """Return ``x * factor``, in ``out`` where that is given and of the same type."""
    if out is None or out.dtype != x.dtype:
        return x * factor
    return torch.mul(x, factor, out=out)


class _AttachGradient(torch.autograd.Function):
    """Gives a ready loss a ready gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, loss: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return loss.view_as(loss)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        # Whoever builds a graph of the gradient would take it for a constant.
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():
            raise RuntimeError(
                "the losses of imb_det have no second derivatives: their gradient is "
                "computed with the loss; call `backward` or `autograd.grad` without "
                "`create_graph=True`"
            )
        (gradient,) = ctx.saved_tensors
        (grad_output,) = grad_outputs
        if grad_output.dim() < gradient.dim():
            grad_output = grad_output[:, None]
        return gradient * grad_output, None, None


def attach_gradient(x: Tensor, loss: Tensor, gradient: Tensor) -> Tensor:
    """Return ``loss`` as a function of ``x`` with the given gradient.

    Args:
        x: Input, float (N, K).
        loss: Loss of each row (N,) or element (N, K), without a graph.
        gradient: Derivative of the loss by ``x``, (N, K).

    Returns:
        The loss; its backward only scales ``gradient``. It has no second derivative:
        asking for one is an error.
    """
    return _AttachGradient.apply(x, loss, gradient)  # type: ignore[no-untyped-call]
