"""Counts of classes as formulas need them: above 0, of images or of boxes."""

from __future__ import annotations

import numpy as np

from imb_det.core import check_number
from imb_det.core.text import and_more

from .class_stats import ClassStats

__all__ = ["COUNTED", "check_min_count", "positive_counts"]

#: What may be counted.
COUNTED = ("images", "instances")


def check_min_count(owner: str, min_count: float | None) -> None:
    """Refuse what :func:`positive_counts` cannot take for ``min_count``.

    Args:
        owner: Name of the component, for the message.
        min_count: What a config gives.

    Raises:
        TypeError, ValueError: No number, or one that is not above 0.
    """
    if min_count is not None:
        check_number(owner, "min_count", min_count, 0, None, open_ends=True)


def positive_counts(
    owner: str, stats: ClassStats, by: str = "instances", min_count: float | None = None
) -> np.ndarray:
    """Return how often each class occurs, for formulas that cannot do with 0.

    Args:
        owner: Name of the component, for the message.
        stats: Counts of the training set, C classes.
        by: ``'images'`` or ``'instances'``. Default: ``'instances'``.
        min_count: What a class counts as at least. Default: None, every class must
            occur.

    Returns:
        Float64 (C,), above 0.

    Raises:
        ValueError: A class that does not occur; lists them, and what to write.
    """
    counts = stats.image_count if by == "images" else stats.instance_count
    if min_count is not None:
        return np.maximum(counts.astype(float), min_count)
    if absent := [n for n, c in zip(stats.classes, counts, strict=True) if not c]:
        raise ValueError(
            f"{owner} needs examples of every class, but the training set has none of "
            f"{and_more(absent)}; take them out of `metainfo['classes']` (and "
            "`num_classes`), or write `min_count=1` into its config, to treat them as "
            "classes with one example"
        )
    return counts.astype(float)
