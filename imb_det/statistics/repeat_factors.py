"""How often an image is to be shown, by the frequency of its classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imb_det.core.checks import check_choice, check_number

from .class_stats import ClassStats
from .label_table import LabelTable

__all__ = [
    "FREQUENCIES",
    "ClassRepeats",
    "RepeatRule",
    "auto_threshold",
    "class_frequency",
    "class_repeat_factors",
    "repeat_factors",
]

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
    factors[occurs] = np.maximum(1.0, (repeat_thr / frequency[occurs]) ** power)
    return factors if max_repeat is None else np.minimum(factors, max_repeat)


@dataclass(frozen=True)
class ClassRepeats:
    """Repeat factors of the classes, and what they follow from.

    Args:
        threshold: Frequency below which classes are repeated.
        frequency: Of each class, float64 (C,).
        factors: Of each class, float64 (C,), >= 1.
    """

    threshold: float
    frequency: np.ndarray
    factors: np.ndarray

    def of_images(self, table: LabelTable) -> np.ndarray:
        r"""Return how many times each image is to be shown in an epoch, on average.

        .. math:: r_i = \max_{c \in i} r_c

        Args:
            table: Classes of each image, n images.

        Returns:
            Float64 (n,), >= 1; 1 for an image without a box.
        """
        return table.largest(self.factors, empty=1.0)


@dataclass(frozen=True)
class RepeatRule:
    """What says how often classes and images are repeated: all steps from counts on.

    Args:
        owner: Name of the component, for messages.
        repeat_thr: Threshold, a number >= 0, or ``'auto'``, see
            :func:`auto_threshold`. Default: 1e-3.
        power: Exponent, >= 0. Default: 0.5.
        by: ``'image'``, ``'instance'`` or ``'geometric'``. Default: ``'image'``.
        max_repeat: Largest factor, >= 1, or None. Default: None.

    Raises:
        ValueError, TypeError: Names the argument, what was given and what is valid.

    Example:
        >>> stats = ClassStats(["cat", "emu"], [90, 10], [200, 10], 100)
        >>> RepeatRule("Sampler", repeat_thr=0.9).of_classes(stats).factors
        array([1., 3.])
    """

    owner: str
    repeat_thr: float | str = 1e-3
    power: float = 0.5
    by: str = "image"
    max_repeat: float | None = None

    def __post_init__(self) -> None:
        check_choice(self.owner, "by", self.by, FREQUENCIES)
        check_number(self.owner, "power", self.power, 0, None)
        if self.max_repeat is not None:
            check_number(self.owner, "max_repeat", self.max_repeat, 1, None)
        if not isinstance(self.repeat_thr, str):
            check_number(self.owner, "repeat_thr", self.repeat_thr, 0, None)
        elif self.repeat_thr != "auto":
            raise ValueError(
                f"{self.owner}: `repeat_thr` must be a number or 'auto', got "
                f"{self.repeat_thr!r}"
            )

    def of_classes(self, stats: ClassStats) -> ClassRepeats:
        """Return the repeat factors of the classes.

        Args:
            stats: Counts that the frequencies follow from.
        """
        frequency = class_frequency(stats, self.by)
        if isinstance(self.repeat_thr, str):
            threshold = auto_threshold(stats, self.by)
        else:
            threshold = float(self.repeat_thr)
        factors = class_repeat_factors(
            frequency, threshold, self.power, self.max_repeat
        )
        return ClassRepeats(threshold, frequency, factors)


def repeat_factors(
    table: LabelTable,
    repeat_thr: float | str = 1e-3,
    power: float = 0.5,
    by: str = "image",
    max_repeat: float | None = None,
    stats: ClassStats | None = None,
) -> np.ndarray:
    """Return how many times each image is to be shown in an epoch, on average.

    Args:
        table: Classes of each image, n images.
        repeat_thr: As in :class:`RepeatRule`, like the following.
        power: See there.
        by: See there.
        max_repeat: See there.
        stats: Counts that the frequencies follow from. Default: None, the table's.

    Returns:
        Float64 (n,), >= 1; 1 for an image without a box.

    Raises:
        ValueError, TypeError: Names the argument, what was given and what is valid.

    Example:
        >>> table = LabelTable.from_labels(["cat", "emu"], [[0]] * 8 + [[0, 1], []])
        >>> repeat_factors(table, repeat_thr=0.9)[-2:]
        array([3., 1.])
    """
    rule = RepeatRule("repeat_factors", repeat_thr, power, by, max_repeat)
    stats = ClassStats.from_table(table) if stats is None else stats
    return rule.of_classes(stats).of_images(table)
