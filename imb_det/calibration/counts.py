"""Numbers of training examples, as calibrators are given them."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from imb_det.core import and_more, check_choice, refuse_idle
from imb_det.statistics.class_counts import COUNTED, check_min_count, positive_counts
from imb_det.statistics.class_stats import ClassStats
from imb_det.statistics.class_vector import ClassVector

__all__ = ["count_vector", "counts_for"]


def count_vector(
    owner: str, counts: Any, min_count: float | None = None, relative: bool = False
) -> ClassVector:
    """Return a vector of the numbers of examples of each class.

    Checkpoints hold it where the training set gives it, so that a detector needs no
    training set to predict.

    Args:
        owner: Name of the calibrator, for messages.
        counts: ``'images'`` or ``'instances'`` of the training set, or numbers > 0, as
            a list or by class name, where every class must be named.
        min_count: What a class counts as at least; None refuses classes without
            examples. Default None.
        relative: Whether to keep shares of all images, or instances, in place of the
            numbers of a rule; numbers that are given are then shares. Default False.

    Raises:
        TypeError, ValueError: Something else.
    """
    if isinstance(counts, str):
        check_choice(owner, "counts", counts, COUNTED)
    elif counts is None or isinstance(counts, (int, float)):
        raise TypeError(
            f"{owner}: `counts` must be 'images', 'instances', a list or a dict by "
            f"class name, got {counts!r}"
        )
    check_min_count(owner, min_count)
    if not isinstance(counts, str):
        refuse_idle(owner, "with numbers as `counts`", min_count=(min_count, None))
    rules = {
        by: partial(_numbers, owner, by=by, min_count=min_count, relative=relative)
        for by in COUNTED
    }
    made = _Counts(owner, "counts", counts, rules=rules, low=0, open_ends=True)
    given = made.spec.values() if isinstance(made.spec, dict) else made.spec
    if relative and isinstance(made.spec, (dict, list)) and max(given, default=0) > 1:
        raise ValueError(
            f"{owner}: `counts` must be 'images', 'instances' or shares in (0, 1], got "
            f"{max(given):g}"
        )
    return made


class _Counts(ClassVector):
    """Counts, of which a dict must name every class: none is usual."""

    def set_class_stats(self, stats: ClassStats) -> None:
        super().set_class_stats(stats)
        spec = self.spec
        if isinstance(spec, dict) and (
            absent := [name for name in stats.classes if name not in spec]
        ):
            raise ValueError(
                f"{self.owner}: `counts` must name every class, and lacks "
                f"{and_more(absent)}"
            )


def counts_for(vector: ClassVector, num_classes: int, like: Tensor) -> Tensor:
    """Return the counts that a :func:`count_vector` holds, float (C,).

    Raises:
        RuntimeError, ValueError: None yet, or of other classes.
    """
    found = vector(num_classes, like)
    if found is None:
        raise RuntimeError(f"{vector.owner}: `counts` are not known")
    return found


def _numbers(
    owner: str, stats: ClassStats, by: str, min_count: float | None, relative: bool
) -> np.ndarray:
    found = positive_counts(owner, stats, by, min_count)
    if not relative:
        return found
    return found / (stats.num_images if by == "images" else found.sum())
