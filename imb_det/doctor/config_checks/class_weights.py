"""Weights of classes: how many there are, and what they follow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from imb_det.core.finding import Finding, Severity
from imb_det.doctor.context import DoctorContext
from imb_det.losses import ImbalanceLoss

from .heads import classifying_heads, rank_correlation, weights_of

__all__ = ["check_class_weights", "check_weight_order"]

#: Rank correlation with the counts from which on weights rise with them.
_RISES = 0.7
_NAMED = 3
_REMEDY = (
    "Write {0} numbers into `{1}.class_weight`, or `{1}=dict("
    "type='imb_det.CrossEntropyLoss', use_sigmoid={2}, class_weight='inverse')`, which "
    "counts for itself, with `custom_hooks=[dict(type='imb_det.ImbalanceHook')]`"
)


def check_class_weights(context: DoctorContext) -> Iterator[Finding]:
    """Find lists of weights of a length that a loss of mmdet fails with.

    Losses of this library say so when they are told the classes.

    Args:
        context: With a model.
    """
    for found in classifying_heads(context.model):
        loss, classes = found.loss, found.num_classes
        if isinstance(loss, ImbalanceLoss):
            continue
        sigmoid = getattr(loss, "use_sigmoid", False)
        wanted = found.outputs or classes + (not sigmoid)
        given = getattr(loss, "class_weight", None)
        if not _is_numbers(given):
            yield Finding(
                "class_weight_length",
                Severity.ERROR,
                "a loss of mmdet takes a list of numbers for weights of classes",
                found.where,
                f"`class_weight` of {type(loss).__name__} is {given!r}",
                _REMEDY.format(wanted, found.in_config, bool(sigmoid)),
            )
        for _, numbers in weights_of(loss):
            if len(numbers) == wanted:
                continue
            why = f"one for each of the {classes} classes"
            if wanted > classes:
                why += " and, last, one for background"
            yield Finding(
                "class_weight_length",
                Severity.ERROR,
                "a loss has weights for another number of classes than its head",
                found.where,
                f"`class_weight` of {type(loss).__name__} has {len(numbers)} numbers, "
                f"and {wanted} are needed: {why}",
                _REMEDY.format(wanted, found.in_config, bool(sigmoid)),
            )


def _is_numbers(given: Any) -> bool:
    """Tell whether something is None, a number, or a list of numbers."""
    try:
        return np.asarray(0 if given is None else given, float).ndim < 2
    except (TypeError, ValueError):
        return False


def check_weight_order(context: DoctorContext) -> Iterator[Finding]:
    """Find weights that are larger for frequent classes than for rare ones.

    Weights that help rare classes fall with the counts; such as rise with them are
    often in the order of another list of classes.

    Args:
        context: With a model and counts.
    """
    stats = context.class_stats
    if stats is None:
        return
    for found in classifying_heads(context.model):
        if found.num_classes != stats.num_classes:
            continue
        counts = stats.instance_count
        for _, numbers in weights_of(found.loss):
            of_classes = numbers[: stats.num_classes]
            if len(of_classes) != stats.num_classes:
                continue
            correlation = rank_correlation(of_classes, counts.tolist())
            if correlation < _RISES:
                continue
            order = sorted(range(len(counts)), key=lambda i: -counts[i])
            ends = dict.fromkeys([*order[:_NAMED], *order[-_NAMED:]])
            named = ", ".join(
                f"{stats.classes[i]!r} {of_classes[i]:g} ({counts[i]} boxes)"
                for i in ends
            )
            yield Finding(
                "class_weight_order",
                Severity.WARNING,
                "weights of classes rise with the number of their boxes: frequent "
                "classes gain by them",
                found.where,
                f"rank correlation {correlation:.2f}; {named}",
                "Put the numbers in the order of `metainfo['classes']`, or let them be "
                f"counted: `{found.in_config}=dict(type='imb_det.CrossEntropyLoss', "
                f"use_sigmoid={bool(getattr(found.loss, 'use_sigmoid', False))}, "
                "class_weight='inverse')`",
            )
