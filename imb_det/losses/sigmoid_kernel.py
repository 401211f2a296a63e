"""Loss and gradient of sigmoid classification in one pass over the logits."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from .elements import CrossEntropyElement, Element, log1p_sum
from .observed import Observed
from .one_pass import (
    Found,
    Which,
    adjusted,
    can_look,
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


class _Factors(NamedTuple):
    """Factors of elements, in the type of the computation or bool; None for 1."""

    positive: Tensor | None
    negative: Tensor | None
    scale: Tensor | None


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
    factors = _Factors(
        _factor(values_of(terms.positive, which, z, rows.label), z),
        _factor(values_of(terms.negative, which, z, rows.label), z),
        _factor(terms.scale, z),
    )
    element = terms.element or CrossEntropyElement()
    if rows.factor is not None:
        rows = replace(rows, factor=rows.factor.to(z.dtype))
    place = out if out is not None and out.dtype == z.dtype else None
    if rows.own is None:
        target = soft_targets(rows, guard)
        found = _soft(element, factors, z, target, rows, per_row, watch, place)
    else:
        found = _hard(element, factors, z, rows.own, rows, per_row, watch, place)
    loss, slope, seen = found
    if per_row:
        loss = loss.sum(1)
    return loss, slope.to(gradient_dtype(rows.cls_score)), seen


def _hard(
    element: Element,
    factors: _Factors,
    z: Tensor,
    own: OwnClass,
    rows: Rows,
    per_row: bool,
    watch: bool,
    place: Tensor | None,
) -> Found:
    """Loss, gradient and observations where each row has one class or none.

    All elements are taken for negatives, but those of the own classes, which are one a
    row and computed by themselves.
    """
    positive, negative, scale = factors
    factor = rows.factor
    of_rows = factor is None or factor.size(1) == 1
    at = getattr(element, "at", None)
    element_of_own = element if at is None else at(own.column)
    loss_of_own, pull = element_of_own(-own.at_hand(z), True)
    if loss_of_own.shape != own.column.shape:
        raise ValueError(
            f"{type(element).__name__} has numbers for each channel, so it needs a "
            "method `at(columns)`: see `imb_det.losses.elements.Element`"
        )
    if positive is not None:
        weight = own.at(positive)
        loss_of_own, pull = loss_of_own * weight, pull * weight
    loss_of_own = torch.where(own.exists, loss_of_own, 0)
    pull = torch.where(own.exists, -pull, 0)
    sums = per_row and of_rows
    found = _by_odds(element, negative, z, own, place) if sums else None
    loss, slope = found or _by_element(element, negative, z, own, sums)
    loss = loss + loss_of_own if sums else own.written(loss, loss_of_own)
    if scale is not None:
        pull = pull * own.at(scale)
    if factor is not None:
        loss = loss * factor
        pull = pull * (factor if of_rows else own.of(factor))
    slope = _scaled(slope, (negative, scale), factor, place)
    seen = None
    if watch:
        probability = getattr(element, "probability", torch.sigmoid)
        score = probability(own.at_hand(rows.cls_score).to(z.dtype))
        is_push = found is not None  # of cross entropies
        seen = Observed.of(score, pull, slope, own, rows.counted, is_push)
    return loss, own.written(slope, pull), seen


def _by_odds(
    element: Element,
    negative: Tensor | None,
    z: Tensor,
    own: OwnClass,
    place: Tensor | None,
) -> tuple[Tensor, Tensor] | None:
    """Sum the losses of negatives the quick way; None where there is none.

    Args:
        element: Of the loss.
        negative: Factor of negatives, or which of them there are, bool.
        z: Logits.
        own: Of the rows.
        place: Where the gradient may be written.

    Returns:
        Loss of each row, (n, 1), and the gradient of all elements, 0 for own classes;
        without factors, which are for the caller.
    """
    odds_of = getattr(element, "odds", None)
    if odds_of is None or not can_look(z):
        return None
    odds, rate = odds_of(z)
    odds = own.cleared(odds)
    if negative is not None and negative.dtype == torch.bool:
        odds.mul_(negative.view(torch.uint8))  # by bool it takes three times as long
        negative = None
    if rate is None:
        slope = torch.add(odds, 1, out=place)
        slope = torch.div(odds, slope, out=slope)
    else:
        slope = multiplied(odds, rate, place)
    loss = log1p_sum(odds, negative)
    # Large logits have infinite odds: one look at the rows in place of a guard.
    return (loss, slope) if math.isfinite(float(loss.sum())) else None


def _by_element(
    element: Element, negative: Tensor | None, z: Tensor, own: OwnClass, sums: bool
) -> tuple[Tensor, Tensor]:
    """Return the losses of negatives; arguments and results are those of _by_odds.

    Without ``sums`` the loss is that of elements, (n, K), 0 for own classes.
    """
    loss, slope = element(z, False)
    # In place from here on: what the element returns may be its input, or one tensor.
    loss, slope = _apart(loss, z), _apart(slope, z, loss)
    loss, slope = own.cleared(loss), own.cleared(slope)
    if negative is not None and negative.dtype == torch.bool:
        kept = negative.to(z.dtype)
        loss, slope, negative = loss.mul_(kept), slope.mul_(kept), None
    if not sums:
        return (loss if negative is None else loss.mul_(negative)), slope
    return _sum_of_rows(loss, negative), slope


def _sum_of_rows(loss: Tensor, factor: Tensor | None) -> Tensor:
    if factor is not None and factor.dim() == 1 and can_look(loss):
        return (loss @ factor)[:, None]
    return (loss if factor is None else loss * factor).sum(1, keepdim=True)


def _apart(x: Tensor, *others: Tensor) -> Tensor:
    """Return ``x`` in memory of its own."""
    if torch.compiler.is_compiling():
        return x  # nothing is in place there
    place = x.untyped_storage().data_ptr()
    if any(place == other.untyped_storage().data_ptr() for other in others):
        return x.clone()
    return x


def _factor(values: Tensor | None, z: Tensor) -> Tensor | None:
    """Return factors in the type of the computation; bool as it is."""
    if values is None or values.dtype == torch.bool:
        return values
    return values.to(z.dtype)


def _scaled(
    slope: Tensor,
    columns: tuple[Tensor | None, ...],
    row: Tensor | None,
    place: Tensor | None,
) -> Tensor:
    """Multiply in as few passes as there can be; the last one writes to its place.

    Args:
        slope: Float (n, K), which is lost.
        columns: Factors (K,), (n, K) or scalar; bool ones have been dealt with.
        row: Factor (n, 1) or (n, K).
        place: Where the result may be written.
    """
    one: Tensor | None = None
    for factor in columns:
        if factor is None or factor.dtype == torch.bool:
            continue
        if factor.dim() == 2:
            slope = slope.mul_(factor)
        else:
            one = factor if one is None else one * factor
    if one is not None and row is not None:
        if one.dim() == 0:
            one = one * row
        else:
            slope, one = slope.mul_(one), row
    last = row if one is None else one
    return slope if last is None else multiplied(slope, last, place)


def _soft(
    element: Element,
    factors: _Factors,
    z: Tensor,
    target: Tensor,
    rows: Rows,
    per_row: bool,
    watch: bool,
    place: Tensor | None,
) -> Found:
    """Loss, gradient and observations for targets in [0, 1]."""
    loss, slope = _soft_elements(element, factors, z, target)
    factor = rows.factor
    if per_row and (factor is None or factor.size(1) == 1):
        loss = loss.sum(1, keepdim=True)
    if factor is not None:
        loss = loss * factor
    slope = _scaled(slope, (factors.scale,), factor, place)
    seen = None
    if watch:
        probability = getattr(element, "probability", torch.sigmoid)
        score = probability(rows.cls_score.to(z.dtype))
        seen = Observed.of_targets(score, slope, target, rows.counted)
    return loss, slope, seen


def _soft_elements(
    element: Element, factors: _Factors, z: Tensor, target: Tensor
) -> tuple[Tensor, Tensor]:
    """Loss and gradient of elements, without scale and factor of rows."""
    positive, negative, _ = factors
    soft = getattr(element, "soft", None)
    if soft is not None:
        if positive is not None or negative is not None:
            raise ValueError(
                f"{type(element).__name__} has one loss for soft targets, which cannot "
                "have factors of positives and negatives"
            )
        return soft(z, target)
    loss_of_one, slope_of_one = element(-z, True)
    loss_of_zero, slope_of_zero = element(z, False)
    one, zero = target, 1 - target
    if positive is not None:
        one = one * positive
    if negative is not None:
        zero = zero * negative
    return (
        one * loss_of_one + zero * loss_of_zero,
        zero * slope_of_zero - one * slope_of_one,
    )
