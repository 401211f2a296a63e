"""Loss and gradient of sigmoid classification in one pass over the logits."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from .elements import CrossEntropyElement
from .one_pass import (
    Found,
    Which,
    adjusted,
    checked_targets,
    gradient_dtype,
    in_chunks,
    soft_targets,
)
from .rows import Rows
from .sigmoid_factors import Factors, factor_of
from .sigmoid_hard import hard_rows
from .sigmoid_soft import soft_rows
from .terms import Terms, values_of

__all__ = ["sigmoid_kernel"]


def sigmoid_kernel(
    terms: Terms,
    cls_score: Tensor,
    label: Tensor,
    weight: Tensor | None = None,
    per_row: bool = True,
    watch: bool = False,
    into: Tensor | None = None,
) -> Found:
    """Return the loss and its gradient by the logits; no autograd, no one-hot copy.

    Outside of ``torch.compile`` it runs over chunks of rows, so that it reads the
    logits once, writes the gradient once and needs no other memory of their size.

    Args:
        terms: Of the loss.
        cls_score: Logits, float (N, K).
        label: Class of each row, int (N,), K and above for none, below 0 to ignore the
            row; or targets, float (N, K) in [0, 1].
        weight: Factor of each row, float (N,), or element, (N, K). Where it is 0,
            the logits may be anything.
        per_row: Whether to sum the loss over channels.
        watch: Whether to observe. With targets, a channel is a row's own where its
            target is above 0.
        into: Where the gradient is to be; None for new memory. Compiled code takes no
            notice.

    Returns:
        Loss, float32 (float64 for float64 logits) of shape (N,), or (N, K) unless
        ``per_row``; gradient of the loss, (N, K), in the logits' type, float32 for
        float16, whose range is too small for gradients before the mean is taken; what
        was observed.

    Raises:
        ValueError: Terms that are for a softmax.
    """
    terms.refuse("sigmoid", "of_nll", "part")
    return in_chunks(_chunk, terms, cls_score, label, weight, per_row, watch, into)


def _chunk(
    terms: Terms,
    which: Which | None,
    rows: Rows,
    per_row: bool,
    watch: bool,
    guard: bool,
    out: Tensor | None,
) -> Found:
    """Loss, gradient and observations of some rows."""
    z = adjusted(terms, which, rows, guard)
    factors = Factors(
        factor_of(values_of(terms.positive, which, z, rows.label), z),
        factor_of(values_of(terms.negative, which, z, rows.label), z),
        factor_of(terms.scale, z),
    )
    element = terms.element or CrossEntropyElement()
    if rows.factor is not None:
        rows = replace(rows, factor=rows.factor.to(z.dtype))
    place = out if out is not None and out.dtype == z.dtype else None
    if rows.own is None:
        target = soft_targets(rows, guard)
        found = soft_rows(element, factors, z, target, rows, per_row, watch, place)
    else:
        quality = terms.quality
        if quality is not None:
            quality = (quality if which is None else quality[which])[:, None]
            counts = rows.own.counts(rows.counted)
            quality = checked_targets(quality.to(z.dtype), counts)
        found = hard_rows(
            element, factors, z, rows.own, rows, per_row, watch, place, quality
        )
    loss, slope, seen = found
    if per_row:
        loss = loss.sum(1)
    return loss, slope.to(gradient_dtype(rows.cls_score)), seen
