"""One pass over the logits: part by part, with the gradient that it attaches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .observed import Observed
from .rows import Rows
from .terms import Terms, values_of

__all__ = [
    "AT_HAND",
    "SLACK",
    "Found",
    "adjusted",
    "attach_gradient",
    "can_look",
    "checked_targets",
    "chunks",
    "compute_dtype",
    "gradient_dtype",
    "in_chunks",
    "is_small",
    "multiplied",
    "soft_targets",
]

#: What rounding may add to a target in [0, 1].
SLACK = 1e-3

#: Devices whose numbers can be looked at without waiting for them.
AT_HAND = ("cpu",)

# Times factors and sums of these, float32 does not overflow.
_SMALL = 1e20

#: Rows of a chunk: a range or their numbers, int64.
Which = slice | Tensor

#: Loss, gradient and observations of some rows.
Found = tuple[Tensor, Tensor, Observed | None]

# Elements of a chunk: the temporaries of a chunk stay in a CPU's cache, and a GPU is
# busy with it for longer than it takes to launch the kernels.
_CHUNK = {"cpu": 1 << 19}
_GPU_CHUNK = 1 << 22


def chunks(cls_score: Tensor, some: Tensor | None = None) -> Sequence[Which]:
    """Cut the rows so that the temporaries of a part stay small.

    Args:
        cls_score: Logits, (N, K).
        some: Numbers of the rows that are wanted, int64; None for all.

    Returns:
        Ranges of rows, or their numbers; all in one under ``torch.compile``, whose code
        has no temporaries.
    """
    n, k = cls_score.shape
    size = _CHUNK.get(cls_score.device.type, _GPU_CHUNK)
    step = max(size // max(k, 1), 1)
    if some is not None:
        return torch.split(some, step)
    if torch.compiler.is_compiling() or n * k <= size:
        return [slice(None)]
    return [slice(begin, begin + step) for begin in range(0, n, step)]


def in_chunks(
    chunk: Callable[..., Found],
    terms: Terms,
    cls_score: Tensor,
    label: Tensor,
    weight: Tensor | None,
    per_row: bool,
    watch: bool,
    into: Tensor | None = None,
) -> Found:
    """Run a kernel over chunks of rows, so that its temporaries stay in the cache.

    Args:
        chunk: ``chunk(terms, which, rows, per_row, watch, guard, out)`` for the
            :class:`Rows` of ``which``, a slice or numbers, None for all. With ``guard``
            it must keep the logits of what does not count out of its computation; with
            ``out`` it may write the gradient there.
        terms: Of the loss.
        cls_score: Logits, (N, K).
        label: (N,) or (N, K).
        weight: (N,) or (N, K), or None.
        per_row: Whether the loss is that of rows.
        watch: Whether to observe.
        into: Where the gradient is to be, (N, K) in its type; None for new memory.
            Compiled code takes no notice.
    """
    everything = _plain(Rows.of(cls_score, label, weight, terms.row))
    if torch.compiler.is_compiling():
        guard = _must_guard(everything)
        return chunk(terms, None, everything, per_row, watch, guard, None)
    some = _few(everything)
    new = torch.Tensor.new_empty if some is None else torch.Tensor.new_zeros
    shape = cls_score.shape[:1] if per_row else cls_score.shape
    loss = new(cls_score, shape, dtype=compute_dtype(cls_score))
    slope = into
    if slope is None:
        slope = new(cls_score, cls_score.shape, dtype=gradient_dtype(cls_score))
    elif some is not None:
        slope.zero_()
    total = Observed.nothing(cls_score) if watch else None
    by_element = everything.counted is not None and everything.counted.size(1) > 1
    guard = not by_element and some is None and _must_guard(everything)
    for which in chunks(cls_score, some):
        rows = everything.part(which)
        out = None if isinstance(which, Tensor) else slope[which]
        guard = _must_guard(rows) if by_element else guard
        loss[which], found, seen = chunk(terms, which, rows, per_row, watch, guard, out)
        if isinstance(which, Tensor):
            slope.index_copy_(0, which, found)
        elif found is not out:
            slope[which] = found
        if total is not None and seen is not None:
            total.add(seen)
    return loss, slope, total


def can_look(x: Tensor) -> bool:
    """Tell whether a decision may depend on numbers: not if a GPU is waited for."""
    return x.device.type in AT_HAND and not torch.compiler.is_compiling()


def _plain(rows: Rows) -> Rows:
    """Leave factors of rows out where all are 1: to look at them saves a pass."""
    factor = rows.factor
    if factor is None or factor.size(1) > 1 or not can_look(factor):
        return rows
    if not bool((factor == 1).all()):
        return rows
    return replace(rows, counted=None, factor=None)


def _few(rows: Rows) -> Tensor | None:
    """Return the numbers of the rows that count, where they are less than half.

    Those of an object, in a loss that says nothing about background, are worth taking
    out. None where all rows are to be computed.
    """
    counted = rows.counted
    if counted is None or counted.size(1) > 1 or not can_look(counted):
        return None
    some = counted.squeeze(1).nonzero().squeeze(1)
    return some if 2 * len(some) < len(counted) else None


def _must_guard(rows: Rows) -> bool:
    """Tell whether logits that do not count have to be kept out of the computation.

    They, or their targets, may be infinite or not a number, or become so on the way,
    which a factor of 0 does not mend. To look costs little on a CPU, where it saves a
    pass; elsewhere it would be waited for.
    """
    if rows.counted is None:
        return False
    if not can_look(rows.cls_score):
        return True
    idle = ~rows.counted
    if not idle.any():
        return False
    which = idle.squeeze(1) if idle.size(1) == 1 else idle
    if rows.own is None and not is_small(rows.label[which]):
        return True
    return not is_small(rows.cls_score[which])


def is_small(x: Tensor) -> bool:
    """Tell whether no factor makes numbers infinite; NaN is not small.

    Args:
        x: At least one number, at hand.
    """
    low, high = x.aminmax()
    return float(low) >= -_SMALL and float(high) <= _SMALL


def adjusted(terms: Terms, which: Which | None, rows: Rows, guard: bool) -> Tensor:
    """Return the logits in the type of the computation, scaled, lowered and shifted.

    Args:
        terms: Of the loss.
        which: The rows that these are; None for all.
        rows: The rows.
        guard: Whether to put 0 where nothing counts, and logits may be anything.
    """
    z = rows.cls_score.to(compute_dtype(rows.cls_score))
    if rows.counted is not None and guard:
        z = torch.where(rows.counted, z, 0)
    scale = None if terms.scale is None else terms.scale.to(z.dtype)
    if terms.margin is not None:
        margin = terms.margin.to(z.dtype)
        if rows.own is None:  # each class has its margin in part, as its target is
            z = z - margin * soft_targets(rows, guard)
        elif scale is None:
            z = rows.own.lowered(z.clone(), margin)
        else:
            z, scale = rows.own.lowered(z * scale, margin * scale), None
    if scale is not None and not isinstance(terms.offset, Tensor):
        z, scale = z * scale, None  # as a function of the logits that there are then
    offset = values_of(terms.offset, which, z, rows.label)
    if offset is None:
        return z
    offset = offset.to(z.dtype)
    return z + offset if scale is None else torch.addcmul(offset, z, scale)


def soft_targets(rows: Rows, guard: bool) -> Tensor:
    """Return the targets in the type of the computation.

    Where nobody has looked, those outside of [0, 1] become NaN, and so does the loss.

    Args:
        rows: The rows.
        guard: Whether to put 0 where nothing counts, and targets may be anything.
    """
    target = rows.label.to(compute_dtype(rows.cls_score))
    if rows.counted is not None and guard:
        target = torch.where(rows.counted, target, 0)
    return checked_targets(target)


def checked_targets(target: Tensor, exists: Tensor | None = None) -> Tensor:
    """Return targets; where nobody has looked, NaN for those outside of [0, 1].

    Args:
        target: Of any shape.
        exists: Which of them count, bool of the same shape; others become 0. None for
            all.
    """
    if exists is not None:
        target = torch.where(exists, target, 0)
    if can_look(target):
        return target
    return torch.where((target >= -SLACK) & (target <= 1 + SLACK), target, torch.nan)


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


def _goes_now() -> bool:
    """Tell whether the graph goes with this backward, and what it holds with it."""
    keeps = getattr(torch._C._autograd, "_get_current_graph_task_keep_graph", None)
    return keeps is not None and not keeps()


def _is_one(x: Tensor) -> bool:
    """Tell whether all numbers are known to be 1."""
    # Gradients of several losses at once have no numbers of their own to look at.
    for name in ("is_batchedtensor", "is_legacy_batchedtensor"):
        is_batched = getattr(torch._C._functorch, name, None)
        if is_batched is None or is_batched(x):
            return False
    return bool((x == 1).all())


class _AttachGradient(torch.autograd.Function):
    """Gives a ready loss a ready gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, loss: Tensor, gradient: Tensor) -> Tensor:
        # Compiled code has no second derivatives of what wants a gradient: it says so
        # if something that does is among what it keeps.
        is_compiled = torch.compiler.is_compiling()
        ctx.save_for_backward(gradient, *([x] if is_compiled else []))
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
        gradient, *logits = ctx.saved_tensors
        (grad_output,) = grad_outputs
        if grad_output.dim() < gradient.dim():
            if can_look(grad_output) and _goes_now() and _is_one(grad_output):
                return gradient, None, None  # nobody else will have it
            grad_output = grad_output[:, None]
        slope = gradient * grad_output
        for x in logits:
            # Of all of it: a compiler would keep a number made of a part of it.
            slope = slope + (x - x).nan_to_num(0.0).to(slope.dtype)
        return slope, None, None


def attach_gradient(x: Tensor, loss: Tensor, gradient: Tensor) -> Tensor:
    """Return ``loss`` as a function of ``x`` with the given gradient.

    Args:
        x: Input, float (N, K).
        loss: Loss of each row (N,) or element (N, K), without a graph.
        gradient: Derivative of the loss by ``x``, (N, K).

    Returns:
        The loss; its backward only scales ``gradient``, or returns it where there is
        nothing to scale. It has no second derivative: asking for one is an error.
    """
    return _AttachGradient.apply(x, loss, gradient)  # type: ignore[no-untyped-call]
