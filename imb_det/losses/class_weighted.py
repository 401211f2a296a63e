"""Factors of elements and rows from weights of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from imb_det.core import check_choice, check_number
from imb_det.statistics.class_vector import ClassVector
from imb_det.statistics.class_weights import weight_rules

from .base import ImbalanceLoss
from .terms import Call, Terms

__all__ = ["ClassWeight", "check_weighting", "class_weight_vector", "weighting_terms"]

#: What ``class_weight`` of a config may be.
ClassWeight = float | str | Sequence[float] | Mapping[str, Any] | None


def class_weight_vector(
    owner: object, spec: ClassWeight, with_background: bool, **options: Any
) -> ClassVector:
    """Return weights of the classes, by one of the rules where the config says so.

    Args:
        owner: The loss.
        spec: Of its argument ``class_weight``.
        with_background: Whether the weights may end with one for background.
        **options: Of the rules, where the config gives none with them: see
            :func:`imb_det.statistics.class_weights`.

    Raises:
        TypeError, ValueError: No such form, rule, option or number.
    """
    name = type(owner).__name__
    try:
        rules = weight_rules(**options)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from error
    return ClassVector(
        name, "class_weight", spec, rules=rules, with_background=with_background
    )


def check_weighting(loss: str, bg_weight: float, weight_negatives: bool) -> None:
    """Check the arguments that losses with weights of classes share.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range.
    """
    check_choice(loss, "weight_negatives", weight_negatives, (True, False))
    check_number(loss, "bg_weight", bg_weight, 0, None)


def weighting_terms(
    loss: ImbalanceLoss,
    call: Call,
    weights: ClassVector,
    bg_weight: float,
    weight_negatives: bool,
) -> Terms:
    """Return the factors of a loss whose classes have weights.

    With softmax, a row has the weight of its class. With sigmoid, the positives of a
    class have it, or the whole column.

    Args:
        loss: The loss.
        call: Of the loss.
        weights: Of the classes; with softmax also of background, as the last number.
        bg_weight: Weight of background rows.
        weight_negatives: Whether, with sigmoid, the weight of a class also applies
            where the class is absent.

    Raises:
        ValueError: Background has two weights.
    """
    values = weights(call.num_classes, call.cls_score)
    if loss.use_sigmoid:
        row = None
        if bg_weight != 1:
            row = torch.where(call.is_background, bg_weight, 1.0)
        negative = values if weight_negatives else None
        return Terms(positive=values, negative=negative, row=row)
    return Terms(positive=_with_background(weights, values, call, bg_weight))


def _with_background(
    weights: ClassVector, values: Tensor | None, call: Call, bg_weight: float
) -> Tensor | None:
    """Return a factor for every channel of a softmax, (C + 1,), or None for 1."""
    if values is None and bg_weight == 1:
        return None
    classes = call.num_classes
    if values is None or values.dim() == 0:
        ones = call.cls_score.new_ones(classes, dtype=torch.float32)
        values = ones if values is None else ones * values
    if len(values) == classes:
        return F.pad(values, (0, 1), value=bg_weight)
    if bg_weight != 1:
        raise ValueError(
            f"{weights.owner}: `{weights.name}` ends with a weight for background "
            f"({classes + 1} numbers for {classes} classes), so leave `bg_weight` at 1"
        )
    return values
