"""How often classes are to be repeated, by their frequency."""

from __future__ import annotations

import numpy as np

from .class_stats import ClassStats

__all__ = ["FREQUENCIES", "auto_threshold", "class_frequency", "class_repeat_factors"]

#: What the frequency of a class may be counted by.
FREQUENCIES = ("image", "instance", "geometric")


def class_frequency(stats: ClassStats, by: str = "image") -> np.ndarray:
    r"""Return how frequent each class is.

    .. math:: f_c = \frac{m_c}{M}, \quad \frac{n_c}{N}
              \quad\text{or}\quad \sqrt{\frac{m_c}{M} \frac{n_c}{N}}

    for the :math:`m_c` of :math:`M` images and :math:`n_c` of :math:`N` boxes with
    class c.

    Args:
        stats: Counts of the training set.
        by: ``'image'``, ``'instance'`` or ``'geometric'``. Default: ``'image'``.

    Returns:
        Float64 (C,), in [0, 1].
    """
    if by == "image":
        return stats.image_frequency
    if by == "instance":
        return stats.class_prior
    return np.sqrt(stats.image_frequency * stats.class_prior)


def auto_threshold(stats: ClassStats, by: str = "image") -> float:
    """Return the threshold of ``repeat_thr='auto'``.

    It is the frequency of the rarest class that is frequent (by default, on more than
    100 training images), so that rare and common classes are repeated and frequent
    ones are not. On LVIS v1 this is the published 1e-3 (its frequent classes begin at
    101 of about 100,000 images). Without any frequent class it is the highest
    frequency of all.

    Args:
        stats: Counts of the training set.
        by: As in :func:`class_frequency`.

    Returns:
        A number in [0, 1]; 0 without any box.
    """
    frequency = class_frequency(stats, by)
    frequent = stats.groups().get("frequent")
    if frequent is not None:
        return float(frequency[frequent].min())
    return float(frequency.max(initial=0.0))


def class_repeat_factors(
    frequency: np.ndarray,
    repeat_thr: float,
    power: float = 0.5,
    max_repeat: float | None = None,
) -> np.ndarray:
    r"""Return the repeat factor of each class.

    .. math:: r_c = \min\left(r_{\max}, \max\left(1, (t / f_c)^p\right)\right)

    Args:
        frequency: Of each class, (C,), >= 0. A class that never occurs has factor 1:
            no image shows it.
        repeat_thr: Threshold t; classes below it are repeated.
        power: Exponent p, >= 0. Default: 0.5.
        max_repeat: Largest factor, >= 1, or None. Default: None.

    Returns:
        Float64 (C,), >= 1.

    Source: Gupta, Dollar, Girshick, "LVIS", CVPR 2019, appendix B (images, square
    root); Yaman et al., "Instance-Aware Repeat Factor Sampling", 2023, arXiv
    2305.08069 (geometric mean). Exponent and limit are our own.

    Example:
        >>> class_repeat_factors(np.array([0.1, 0.025, 0.0]), 0.1)
        array([1., 2., 1.])
    """
    factors = np.ones(len(frequency))
    occurs = frequency > 0
    with np.errstate(over="ignore"):  # infinite, which `max_repeat` may still limit
        factors[occurs] = np.maximum(1.0, (repeat_thr / frequency[occurs]) ** power)
    return factors if max_repeat is None else np.minimum(factors, max_repeat)
