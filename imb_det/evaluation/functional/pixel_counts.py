"""Intersection over union and accuracy of maps of classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["PixelCounts"]


@dataclass(frozen=True)
class PixelCounts:
    r"""Pixels of each class in labels, in predictions, and where both agree.

    .. math::
        \mathrm{IoU}_c = \frac{n_{cc}}{t_c + p_c - n_{cc}}, \quad
        \mathrm{Acc}_c = \mathrm{Recall}_c = \frac{n_{cc}}{t_c}, \quad
        \mathrm{Dice}_c = \frac{2 n_{cc}}{t_c + p_c}, \quad
        \mathrm{Precision}_c = \frac{n_{cc}}{p_c}

    A class that is there and never found has precision 0.

    Args:
        both: n, pixels that are of a class and were taken for it, int64 (C,).
        found: p, pixels that were taken for a class, int64 (C,).
        there: t, pixels of a class, int64 (C,).
    """

    both: np.ndarray
    found: np.ndarray
    there: np.ndarray

    @classmethod
    def of_map(
        cls,
        predicted: np.ndarray,
        labels: np.ndarray,
        num_classes: int,
        ignore_index: int = 255,
    ) -> PixelCounts:
        """Count one image.

        Args:
            predicted: Class of each pixel, int (h, w); what is no class is found to be
                none.
            labels: The true ones, int (h, w).
            num_classes: C.
            ignore_index: Label of pixels that do not count, like all that are no class.
        """
        known = (labels != ignore_index) & (labels >= 0) & (labels < num_classes)
        labels, predicted = labels[known], predicted[known]
        is_class = (predicted >= 0) & (predicted < num_classes)

        def count(values: np.ndarray) -> np.ndarray:
            return np.bincount(values.astype(np.int64), minlength=num_classes)

        right = count(labels[predicted == labels])
        return cls(right, count(predicted[is_class]), count(labels))

    def __add__(self, other: PixelCounts) -> PixelCounts:
        """Return the counts of both."""
        return PixelCounts(
            self.both + other.both, self.found + other.found, self.there + other.there
        )

    @property
    def iou(self) -> np.ndarray:
        """Float64 (C,), NaN for a class that is nowhere."""
        return _ratio(self.both, self.found + self.there - self.both)

    @property
    def accuracy(self) -> np.ndarray:
        """Share of a class that is found, (C,), NaN for one that is not there."""
        return _ratio(self.both, self.there)

    @property
    def precision(self) -> np.ndarray:
        """Share of what is found that is right, (C,), NaN for a class nowhere."""
        return _ratio(
            self.both, np.where(self.there > 0, self.found.clip(1), self.found)
        )

    @property
    def dice(self) -> np.ndarray:
        """Float64 (C,), NaN for a class that is nowhere."""
        return _ratio(2 * self.both, self.found + self.there)

    def f_score(self, beta: float = 1.0) -> np.ndarray:
        """Return the F score, (C,), NaN for a class that is nowhere.

        Args:
            beta: Weight of the recall beside the precision. Default 1.
        """
        square = beta**2
        return _ratio((1 + square) * self.both, square * self.there + self.found)

    @property
    def all_accuracy(self) -> float:
        """Share of all pixels that are right; NaN without any."""
        return float(_ratio(self.both.sum(), self.there.sum()))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide, with NaN where there is nothing to divide by."""
    with np.errstate(invalid="ignore"):
        return np.divide(
            part, whole, out=np.full(np.shape(whole), np.nan), where=whole != 0
        )
