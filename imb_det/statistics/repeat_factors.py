"""How often an image is to be shown, by the frequency of its classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imb_det.core.checks import check_choice, check_number

from .class_repeats import (
    FREQUENCIES,
    auto_threshold,
    class_frequency,
    class_repeat_factors,
)
from .class_stats import ClassStats
from .label_table import LabelTable

__all__ = ["ClassRepeats", "RepeatRule", "repeat_factors"]


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
        repeat_thr: Threshold on frequencies, 0 to 1, or ``'auto'``, see
            :func:`~imb_det.statistics.class_repeats.auto_threshold`. Default: 1e-3.
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
            check_number(self.owner, "repeat_thr", self.repeat_thr, 0, 1)
        elif self.repeat_thr != "auto":
            raise ValueError(
                f"{self.owner}: `repeat_thr` must be in [0, 1] or 'auto', got "
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
