"""Weights of classes from their counts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .class_stats import ClassStats

__all__ = ["NORMALISATIONS", "WEIGHT_RULES", "class_weights", "weight_rules"]

#: Names of the rules of :func:`class_weights`.
WEIGHT_RULES = ("inverse", "sqrt_inverse", "effective_number", "median_frequency")
#: Over what the mean weight is 1.
NORMALISATIONS = ("classes", "instances")


def class_weights(
    stats: ClassStats,
    rule: str,
    *,
    beta: float = 0.999,
    max_ratio: float | None = 100.0,
    normalize: str = "classes",
) -> np.ndarray:
    r"""Weigh classes up the more, the fewer examples they have.

    With :math:`n_c` instances of class c and :math:`f_c` the share of images that
    hold it,

    .. math::
        \text{inverse: } 1 / n_c, \quad
        \text{sqrt\_inverse: } n_c^{-1/2}, \quad
        \text{effective\_number: } \frac{1 - \beta}{1 - \beta^{n_c}}, \quad
        \text{median\_frequency: } \mathrm{median}(f) / f_c.

    Weights above ``max_ratio`` times the smallest one are cut to that. Then they are
    scaled to mean 1 over the classes present or over all instances, except for
    ``median_frequency``, where the median class has 1 by definition. Classes without
    any instance get 1 and count nowhere. Balanced counts give exactly 1 for all.

    Mean 1 over classes is the usual scale; on a long tail most instances then weigh
    less than 1, and foreground loses against background. With mean 1 over instances
    foreground weighs as much as before.

    Args:
        stats: Counts of the training set, C classes.
        rule: ``'inverse'``, ``'sqrt_inverse'``, ``'effective_number'`` or
            ``'median_frequency'``.
        beta: Of ``effective_number``, in [0, 1): 0 is no weighting at all, towards 1
            it becomes ``inverse``. Default: 0.999.
        max_ratio: Largest over smallest weight of the classes present, at least 1;
            None sets no limit. Default: 100.
        normalize: ``'classes'`` or ``'instances'``. Default: ``'classes'``.

    Returns:
        Weights, float64 (C,), above 0.

    Raises:
        ValueError: No such rule or normalisation, or ``beta`` or ``max_ratio`` out of
            range.
        TypeError: ``stats`` is no ClassStats.

    Example:
        >>> stats = ClassStats(("cat", "dog", "emu"), [3, 1, 0], [3, 1, 0], 4)
        >>> class_weights(stats, "inverse").tolist()
        [0.5, 1.5, 1.0]

    Source: ``effective_number``: Cui et al., "Class-Balanced Loss Based on Effective
    Number of Samples", CVPR 2019, equation 3. ``median_frequency``: Eigen and Fergus,
    ICCV 2015, section 6.3.2, with images in place of pixels. The limit is our own.
    """
    if not isinstance(stats, ClassStats):
        raise TypeError(f"`stats` must be ClassStats, got {type(stats).__name__}")
    if rule not in WEIGHT_RULES:
        raise ValueError(f"`rule` must be one of {WEIGHT_RULES}, got {rule!r}")
    if not 0 <= beta < 1:
        raise ValueError(f"`beta` must be in [0, 1), got {beta}")
    if max_ratio is not None and not max_ratio >= 1:
        raise ValueError(f"`max_ratio` must be None or at least 1, got {max_ratio}")
    if normalize not in NORMALISATIONS:
        raise ValueError(
            f"`normalize` must be one of {NORMALISATIONS}, got {normalize!r}"
        )
    weights = np.ones(stats.num_classes)
    present = stats.instance_count > 0
    if not present.any():
        return weights
    count = stats.instance_count[present].astype(float)
    if rule == "inverse":
        raw = 1 / count
    elif rule == "sqrt_inverse":
        raw = 1 / np.sqrt(count)
    elif rule == "effective_number":
        # beta^n as a power would lose the digits that a beta near 1 needs.
        raw = (
            (1 - beta) / -np.expm1(count * np.log(beta))
            if beta
            else np.ones(len(count))
        )
    else:
        frequency = stats.image_frequency[present]
        raw = np.median(frequency) / frequency
    smallest = raw.min()
    limit = np.inf if max_ratio is None else max_ratio * smallest
    raw = np.minimum(raw, limit)
    if rule == "median_frequency":
        raw = raw / min(limit, 1)  # the median class stays at 1
    else:
        # Over the smallest first: equal weights then are 1 without rounding.
        raw = raw / smallest
        raw = raw / np.average(raw, weights=count if normalize == "instances" else None)
    weights[present] = raw
    return weights


def weight_rules(**options: Any) -> dict[str, Callable[[ClassStats], np.ndarray]]:
    """Return the rules of :func:`class_weights` by name, as functions of the counts.

    Args:
        **options: ``beta``, ``max_ratio`` and ``normalize``.
    """
    return {rule: partial(class_weights, rule=rule, **options) for rule in WEIGHT_RULES}
