"""Loss and gradient of softmax classification in one pass over the logits."""

from __future__ import annotations

import torch
from torch import Tensor

from .observed import Observed
from .one_pass import (
    Found,
    Which,
    adjusted,
    can_look,
    gradient_dtype,
    in_chunks,
    soft_targets,
)
from .rows import OwnClass, Rows
from .terms import Terms, values_of

__all__ = ["softmax_kernel"]


def softmax_kernel(
    terms: Terms,
    cls_score: Tensor,
    label: Tensor,
    weight: Tensor | None = None,
    per_row: bool = True,
    watch: bool = False,
    into: Tensor | None = None,
) -> Found:
    r"""Return the loss of rows and its gradient by the logits; no autograd.

    .. math:: L_n = w_{y_n} f(-\log p_{y_n}), \qquad
              \frac{\partial L_n}{\partial z_j} = w_{y_n} f' (p_j - [j = y_n])

    and for targets :math:`y_{nc}` the sum over classes, weighted by them.

    Args:
        terms: Of the loss.
        cls_score: Logits, float (N, K).
        label: Class of each row, int (N,) in [0, K), below 0 to ignore the row; or
            targets, float (N, K).
        weight: Factor of each row, float (N,). Where it is 0, the logits may be
            anything.
        per_row: Not used: the loss is always that of rows.
        watch: Whether to observe; only with classes as labels.
        into: Where the gradient is to be; None for new memory. Compiled code takes no
            notice.

    Returns:
        Loss, float32 (float64 for float64 logits) of shape (N,); gradient of the loss,
        (N, K), in the logits' type, float32 for float16; what was observed.

    Raises:
        ValueError: Terms that are for a sigmoid.
    """
    terms.refuse("softmax", "element", "negative", "part", "quality")
    return in_chunks(_chunk, terms, cls_score, label, weight, True, watch, into)


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
    label, own, factor = rows.label, rows.own, rows.factor
    z = adjusted(terms, which, rows, guard)
    # All of it happens in the place of the gradient: fresh memory costs more.
    place = out if out is not None and out.dtype == z.dtype else None
    positive = values_of(terms.positive, which, z, label)
    if positive is not None:
        positive = positive.to(z.dtype)
    # A logit is pushed down by its probability, and pulled up by its share of targets.
    if factor is not None:
        factor = factor.to(z.dtype)
    push, pull, mine = factor, None, None
    if own is None:
        log_p = z.log_softmax(1)
        slope = log_p.exp()
        pull = soft_targets(rows, guard)
        if positive is not None:
            pull = pull * positive
        loss, rate = (-log_p, None) if terms.of_nll is None else terms.of_nll(-log_p)
        loss = (loss * pull).sum(1, keepdim=True)
        pull = pull if rate is None else pull * rate
        push = pull.sum(1, keepdim=True)
        if factor is not None:
            pull, push = pull * factor, push * factor
    else:
        slope, mine = _own_probability(z, own, place)
        loss = -mine
        if terms.of_nll is not None:
            loss, rate = terms.of_nll(loss)
            push = rate if push is None else push * rate
        if positive is not None:
            weight = own.at(positive)
            loss = loss * weight
            push = weight if push is None else push * weight
    if factor is not None:
        loss = loss * factor
    score = None
    if watch and own is not None:
        # Of the logits as they predict: without offset, scale and margin.
        as_predicted = slope
        if terms.adjusts:
            as_predicted = rows.cls_score.to(z.dtype).softmax(1)
        score = own.of(as_predicted)
    if own is not None:
        slope = own.cleared(slope)
    if push is not None:
        slope = slope.mul_(push)
    if pull is not None:
        slope = slope.sub_(pull)
    scale = None if terms.scale is None else terms.scale.to(z.dtype)
    if scale is not None:
        slope = slope.mul_(scale)
    seen = None
    if own is not None and mine is not None:
        pulled = mine.expm1() if push is None else mine.expm1() * push
        if scale is not None:
            pulled = pulled * own.at(scale)
        if score is not None:
            is_push = terms.of_nll is None
            seen = Observed.of(score, pulled, slope, own, rows.counted, is_push)
        slope = own.written(slope, pulled)
    return loss.squeeze(1), slope.to(gradient_dtype(rows.cls_score)), seen


def _own_probability(
    z: Tensor, own: OwnClass, place: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the softmax, and the logarithm of its own elements.

    Args:
        z: Logits, (n, K).
        own: Where the own elements are.
        place: Where the softmax is to be; None for new memory.

    Returns:
        (n, K) and (n, 1).
    """
    if not can_look(z):
        log_p = z.log_softmax(1)
        return log_p.exp(), own.of(log_p)
    # A softmax alone takes less time, and is exact but for what is all but impossible.
    p = torch.softmax(z, 1) if place is None else torch.softmax(z, 1, out=place)
    mine = own.of(p).log()
    rare = (mine < -60).squeeze(1)
    if rare.any():
        mine[rare] = z[rare].log_softmax(1).gather(1, own.column[rare])
    return p, mine
