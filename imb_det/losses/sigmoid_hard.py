"""Sigmoid losses of rows that have one class or none."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .elements import Element, log1p_sum
from .observed import Observed
from .one_pass import Found, can_look, multiplied
from .rows import OwnClass, Rows, computed_first
from .sigmoid_factors import Factors, factor_by_target, scaled
from .soft_targets import soft_loss

__all__ = ["hard_rows"]


def hard_rows(
    element: Element,
    factors: Factors,
    z: Tensor,
    own: OwnClass,
    rows: Rows,
    per_row: bool,
    watch: bool,
    place: Tensor | None,
    quality: Tensor | None = None,
) -> Found:
    """Loss, gradient and observations where each row has one class or none.

    All elements are taken for negatives, but those of the own classes, which are one a
    row and computed by themselves; their targets are 1, or the quality, (n, 1).
    """
    positive, negative, scale = factors
    factor = rows.factor
    of_rows = factor is None or factor.size(1) == 1
    at = getattr(element, "at", None)
    element_of_own = element if at is None else at(own.column)
    if quality is None:
        loss_of_own, slope_of_own = element_of_own(-own.at_hand(z), True)
        slope_of_own = -slope_of_own
        weight = None if positive is None else own.at(positive)
    else:
        loss_of_own, slope_of_own = soft_loss(element_of_own, own.at_hand(z), quality)
        of_own = Factors(
            None if positive is None else own.at(positive),
            None if negative is None else own.at(negative),
            None,
        )
        weight = factor_by_target(of_own, z, quality)
    if loss_of_own.shape != own.column.shape:
        raise ValueError(
            f"{type(element).__name__} has numbers for each channel, so it needs a "
            "method `at(columns)`: see `imb_det.losses.elements.Element`"
        )
    if weight is not None:
        loss_of_own, slope_of_own = loss_of_own * weight, slope_of_own * weight
    loss_of_own = torch.where(own.exists, loss_of_own, 0)
    pull = torch.where(own.exists, slope_of_own, 0)
    sums = per_row and of_rows
    found = _by_odds(element, negative, z, own, place) if sums else None
    loss, slope = found or _by_element(element, negative, z, own, sums)
    loss_of_own = computed_first(loss_of_own)
    loss = loss + loss_of_own if sums else own.written(loss, loss_of_own)
    if scale is not None:
        pull = pull * own.at(scale)
    if factor is not None:
        loss = loss * factor
        pull = pull * (factor if of_rows else own.of(factor))
    slope = scaled(slope, (negative, scale), factor, place)
    seen = None
    if watch:
        probability = getattr(element, "probability", torch.sigmoid)
        score = probability(own.at_hand(rows.cls_score).to(z.dtype))
        is_push = found is not None  # of cross entropies
        seen = Observed.of(score, pull, slope, own, rows.counted, is_push)
    return loss, own.written(slope, computed_first(pull)), seen


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
