"""Whether a validation set can measure the classes that are trained."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from imb_det.core.finding import Finding, Severity
from imb_det.core.text import and_more
from imb_det.doctor.context import DoctorContext

from .class_tables import EVALUATED, counts_of, is_thing

__all__ = ["check_measurable", "half_width"]

_NORMAL_95 = 1.959964  # of the normal distribution, two-sided 95 %


def check_measurable(context: DoctorContext) -> Iterator[Finding]:
    """Tell how wide the interval of a group's AP will be at best.

    A group without a box in the evaluation is a warning: its AP will be missing.

    Args:
        context: With counts of the training set.
    """
    stats = context.class_stats
    if stats is None:
        return
    trained = stats.instance_count > 0
    if not trained.any():  # another matter, and an error
        return
    trained &= is_thing(context)  # AP is of boxes
    for split in EVALUATED:
        counts = counts_of(context, split)
        if counts is None or not counts.sum():
            continue
        meanings = stats.group_limits.describe(stats.image_count)
        texts = []
        for name, labels in stats.groups().items():
            own = labels[trained[labels]]
            if not len(own):
                continue
            seen = own[counts[own] > 0]
            if not len(seen):
                yield _lacking(context, split, name, meanings[name], own.tolist())
                continue
            text = (
                f"{name} ({meanings[name]}): {len(seen)} of {len(own)} classes with "
                f"{counts[seen].sum():,} boxes, AP +- {half_width(counts[seen]):.3f}"
            )
            lacking = [context.classes[label] for label in own if not counts[label]]
            texts.append(text + f", no box of {and_more(lacking)}" * bool(lacking))
        yield Finding(
            "measured_precision",
            Severity.INFO,
            "the 95 % interval of each group's AP, at best, by the boxes that the "
            "evaluation has of it",
            context.files(split),
            "; ".join(texts) or "no trained class has a box",
            "Compare runs by several seeds, or take more images into the validation "
            "set, where differences are smaller than that",
        )


def half_width(counts: np.ndarray) -> float:
    r"""Return the half-width of the 95 % interval of a mean over classes, at best.

    .. math:: z_{0.975} \frac{1}{K} \sqrt{\sum_k \frac{p (1 - p)}{n_k}}

    with p = 0.5, and n_k boxes of each of K classes, at most 0.5: as if each box were
    found or not, by itself, with one chance in two, and a class's figure were the share
    of them. AP is no such share, its boxes come in images that resemble one another,
    and duplicates and false alarms count as well: its interval is wider than this as a
    rule. Classes without a box have no AP, and are not among the K.

    Args:
        counts: Boxes of each class, >= 1, (K,), K >= 1.
    """
    numbers = np.asarray(counts, float)
    width = _NORMAL_95 * np.sqrt((0.25 / numbers).sum()) / len(numbers)
    return float(min(width, 0.5))


def _lacking(
    context: DoctorContext, split: str, name: str, meaning: str, labels: list[int]
) -> Finding:
    names = [context.classes[label] for label in labels]
    return Finding(
        "group_not_measured",
        Severity.WARNING,
        "a group of trained classes has no box in an evaluation, so that its AP will "
        "be missing",
        context.files(split),
        f"{name} ({meaning}): {len(names)} classes, {and_more(names)}",
        f"Split anew, so that `{split}_dataloader` has images of every class",
    )
