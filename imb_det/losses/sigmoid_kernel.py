"""Loss and gradient of sigmoid classification in one pass over the logits."""

from __future__ import annotations

import torch
from torch import Tensor

from .elements import CrossEntropyElement
from .observed import Observed
from .one_pass import (
    Found,
    adjusted,
    gradient_dtype,
    in_chunks,
    multiplied,
    soft_targets,
)
from .rows import OwnClass, Rows
from .terms import Terms, values_of

__all__ = ["sigmoid_kernel"]


def sigmoid_kernel(
    terms: Terms,
    cls_score: Tensor,
    label: Tensor,
    weight: Tensor | None = None,
    per_row: bool = True,
    watch: bool = False,
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
        watch: Whether to observe; only with classes as labels.

    Returns:
        Loss, float32 (float64 for float64 logits) of shape (N,), or (N, K) unless
        ``per_row``; gradient of the loss, (N, K), in the logits' type, float32 for
        float16, whose range is too small for gradients before the mean is taken; what
        was observed.

    Raises:
        ValueError: Terms that are for a softmax.
    """
    terms.refuse("sigmoid", "of_nll", "part")
    return in_chunks(_chunk, terms, cls_score, label, weight, per_row, watch)


def _chunk(
    terms: Terms,
    which: slice | None,
    rows: Rows,
    per_row: bool,
    watch: bool,
    guard: bool,
    out: Tensor | None,
) -> Found:
    """Loss, gradient and observations of some rows."""
    label, own, factor = rows.label, rows.own, rows.factor
    z = adjusted(terms, which, rows, guard)
    positive = values_of(terms.positive, which, z, label)
    negative = values_of(terms.negative, which, z, label)
    if own is None:
        target = soft_targets(rows, guard)
        loss, slope = _soft(terms, z, target, positive, negative)
    else:
        loss, slope = _hard(terms, z, own, positive, negative)
    if terms.scale is not None:
        slope = slope * terms.scale.to(z.dtype)
    if per_row and (factor is None or factor.size(1) == 1):
        loss = loss.sum(1, keepdim=True)
    if factor is not None:
        factor = factor.to(z.dtype)
        loss = loss * factor
        slope = multiplied(slope, factor, out)
    seen = None
    if watch and own is not None:
        probability = getattr(terms.element, "probability", torch.sigmoid)
        score = probability(own.of(rows.cls_score).to(z.dtype))
        seen = Observed.of(score, slope, own, rows.counted)
    if per_row:
        loss = loss.sum(1)
    return loss, slope.to(gradient_dtype(rows.cls_score)), seen


def _hard(
    terms: Terms,
    z: Tensor,
    own: OwnClass,
    positive: Tensor | None,
    negative: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Loss and gradient where each row has one class or none."""
    element = terms.element or CrossEntropyElement()
    is_symmetric = getattr(element, "is_symmetric", False)
    mask = None if is_symmetric else own.mask
    loss, slope = element(own.negated(z.clone()), mask)
    # In place below, and of an exponential the derivative is the loss itself.
    slope = own.negated(slope.clone() if slope is loss else slope)
    if positive is None and negative is None:
        return loss, slope
    if positive is not None:
        positive = positive.to(z.dtype)
    if negative is not None:
        negative = negative.to(z.dtype)
    return (
        own.weighted(loss, positive, negative),
        own.weighted(slope, positive, negative),
    )


def _soft(
    terms: Terms,
    z: Tensor,
    target: Tensor,
    positive: Tensor | None,
    negative: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Loss and gradient for targets in [0, 1]."""
    element = terms.element or CrossEntropyElement()
    soft = getattr(element, "soft", None)
    if soft is not None:
        if positive is not None or negative is not None:
            raise ValueError(
                f"{type(element).__name__} has one loss for soft targets, which cannot "
                "have factors of positives and negatives"
            )
        return soft(z, target)
    is_one = torch.ones((), dtype=torch.bool, device=z.device)
    loss_of_one, slope_of_one = element(-z, is_one)
    loss_of_zero, slope_of_zero = element(z, ~is_one)
    one, zero = target, 1 - target
    if positive is not None:
        one = one * positive.to(z.dtype)
    if negative is not None:
        zero = zero * negative.to(z.dtype)
    return (
        one * loss_of_one + zero * loss_of_zero,
        zero * slope_of_zero - one * slope_of_one,
    )
