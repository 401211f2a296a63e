"""The counts of a training set, or why there are none."""

from __future__ import annotations

from typing import Any

from imb_det.core.finding import Finding, refusal
from imb_det.statistics import ClassStats

__all__ = ["count_classes"]


def count_classes(dataset: Any) -> tuple[ClassStats | None, list[Finding]]:
    """Count the classes, or say why they cannot be counted.

    Args:
        dataset: Built training set, in any wrappers.
    """
    try:
        return ClassStats.from_dataset(dataset), []
    except Exception as error:  # what else is wrong must be told all the same
        what = "the classes of the training set cannot be counted"
        return None, [refusal("class_counts", what, error)]
