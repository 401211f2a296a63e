"""How evenly the boxes of a set are spread over its classes, as one number."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["gini", "imbalance_ratio"]


def imbalance_ratio(counts: npt.ArrayLike) -> float:
    """Boxes of the most frequent class for each one of the least frequent.

    Args:
        counts: Boxes of each class, >= 0, (C,). Classes without any are left out.

    Returns:
        Number >= 1; NaN where there is no box at all.
    """
    numbers = np.asarray(counts, float)
    seen = numbers[numbers > 0]
    return float(seen.max() / seen.min()) if seen.size else float("nan")


def gini(counts: npt.ArrayLike) -> float:
    r"""Gini coefficient of the boxes of the classes: 0 where all have the same.

    .. math:: G = \frac{\sum_i \sum_j |n_i - n_j|}{2 C \sum_i n_i}

    Args:
        counts: Boxes of each class, >= 0, (C,).

    Returns:
        Number in [0, 1); NaN where there is no box at all.
    """
    numbers = np.sort(np.asarray(counts, float))
    total, num_classes = float(numbers.sum()), len(numbers)
    if total == 0:
        return float("nan")
    rank = np.arange(1, num_classes + 1)
    return float((2 * rank - num_classes - 1) @ numbers) / (num_classes * total)
