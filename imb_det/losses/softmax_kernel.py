"""Loss and gradient of softmax classification in one pass over the logits."""

from __future__ import annotations

import torch
from torch import Tensor

from .observed import Observed
from .one_pass import Found, adjusted, gradient_dtype, in_chunks, multiplied
from .rows import Rows
from .terms import Terms, values_of

__all__ = ["softmax_kernel"]


def softmax_kernel(
    terms: Terms,
    cls_score: Tensor,
    label: Tensor,
    weight: Tensor | None = None,
    per_row: bool = True,
    watch: bool = False,
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

    Returns:
        Loss, float32 (float64 for float64 logits) of shape (N,); gradient of the loss,
        (N, K), in the logits' type, float32 for float16; what was observed.

    Raises:
        ValueError: Terms that are for a sigmoid.
    """
    terms.refuse("softmax", "element", "negative")
    return in_chunks(_chunk, terms, cls_score, label, weight, True, watch)


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
    log_p = z.log_softmax(1)
    positive = values_of(terms.positive, which, z, label)
    if positive is not None:
        positive = positive.to(z.dtype)
    # A logit is pushed down by its probability, and pulled up by its share of targets.
    if own is None:
        pull = label.to(z.dtype)
        if positive is not None:
            pull = pull * positive
        loss, rate = _of_nll(terms, -log_p)
        loss, pull = (loss * pull).sum(1, keepdim=True), pull * rate
        push = pull.sum(1, keepdim=True)
    else:
        loss, push = _of_nll(terms, -own.of(log_p))
        if positive is not None:
            loss, push = loss * own.at(positive), push * own.at(positive)
    if factor is not None:
        factor = factor.to(z.dtype)
        loss, push = loss * factor, push * factor
    slope = log_p.exp_()
    score = None
    if watch and own is not None:
        # Of the logits as they predict: without offset, scale and margin.
        as_predicted = slope
        if terms.adjusts:
            as_predicted = rows.cls_score.to(z.dtype).softmax(1)
        score = own.of(as_predicted)
    if own is None:
        pull = pull if factor is None else pull * factor
        slope = slope * push - pull
    else:
        slope = multiplied(own.lowered(slope, push.new_ones(())), push, out)
    if terms.scale is not None:
        slope = multiplied(slope, terms.scale.to(z.dtype), out)
    seen = None
    if score is not None and own is not None:
        seen = Observed.of(score, slope, own, rows.counted)
    return loss.squeeze(1), slope.to(gradient_dtype(rows.cls_score)), seen


def _of_nll(terms: Terms, nll: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss and its derivative by -log p."""
    return (nll, torch.ones_like(nll)) if terms.of_nll is None else terms.of_nll(nll)
