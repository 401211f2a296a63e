"""Difficulty of the classes over the course of a training."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from imb_det.core.text import and_more
from imb_det.statistics.class_stats import ClassStats

from .class_difficulty import difficulty_weights, fill_unmeasured, smooth_accuracy

__all__ = ["DifficultyTracker"]

_NAMED = 5  # classes that a line names


class DifficultyTracker:
    """Smoothed accuracy of each class, and the weights that follow from it.

    A class that was not measured this time keeps its smoothed accuracy; one that
    never was gets that of similar classes
    (:func:`~imb_det.difficulty.class_difficulty.fill_unmeasured`), anew each time.

    Args:
        stats: Counts of the training set, C classes.
        tau: Exponent, at least 0, ``'dynamic'`` or ``'dynamic_cifar'``. Default:
            ``'dynamic'``.
        momentum: Share of the past in the smoothed accuracy, in [0, 1). Default: 0.5.
        max_ratio: Largest over smallest weight, at least 1, or None. Default: 100.

    Attributes:
        accuracy: Smoothed accuracy, float64 (C,); NaN where never measured.
        filled: The same with guesses for NaN; what the weights follow from.
        weights: Weights, float64 (C,), sum C; ones before the first measurement.
        tau: The exponent of the last update; NaN before.
        last_update: Epoch or iteration after which ``update`` was called last; 0.
    """

    def __init__(
        self,
        stats: ClassStats,
        tau: float | str = "dynamic",
        momentum: float = 0.5,
        max_ratio: float | None = 100.0,
    ) -> None:
        self.stats = stats
        self.settings = (tau, momentum, max_ratio)
        self.accuracy = np.full(stats.num_classes, np.nan)
        self.filled = self.accuracy.copy()
        self.weights = np.ones(stats.num_classes)
        self.tau = float("nan")
        self.last_update = 0

    def set_class_stats(self, stats: ClassStats) -> None:
        """Take other counts of the same classes, for the next update.

        Raises:
            ValueError: Counts of other classes.
        """
        stats.check_classes(self.stats.classes)
        self.stats = stats

    def update(self, measured: npt.ArrayLike, position: int) -> str:
        """Take new accuracies in.

        Args:
            measured: Accuracy of each class in [0, 1], NaN where not measured, (C,).
            position: Epochs or iterations that are over.

        Returns:
            One line for the log.
        """
        tau, momentum, max_ratio = self.settings
        new = np.asarray(measured, float)
        missing = np.isnan(new)
        kept = missing & ~np.isnan(self.accuracy)
        self.accuracy = smooth_accuracy(self.accuracy, new, momentum)
        self.filled, by_group = fill_unmeasured(
            self.accuracy, self.stats.image_count, self.stats.group_limits
        )
        self.last_update = position
        if np.isnan(self.accuracy).all():
            return "no class has been measured yet, the weights stay 1"
        self.weights, self.tau = difficulty_weights(self.filled, tau, max_ratio)
        line = f"tau {self.tau:.3f}, mean accuracy {self.filled.mean():.3f}"
        order = np.argsort(self.filled, kind="stable")
        line += f"; hardest: {self._list(order[:_NAMED])}"
        if len(order) > _NAMED:
            line += f"; easiest: {self._list(order[_NAMED:][::-1][:_NAMED])}"
        for group, how in (
            (kept, "keep their accuracy"),
            (by_group, "take the mean of their frequency group"),
            (missing & ~kept & ~by_group, "take the mean of all classes"),
        ):
            if group.any():
                names = [self.stats.classes[i] for i in np.flatnonzero(group)]
                line += f"; {len(names)} not measured {how}: {and_more(names, _NAMED)}"
        return line

    def _list(self, indices: np.ndarray) -> str:
        return ", ".join(
            f"'{self.stats.classes[i]}' {self.filled[i]:.3f} (weight "
            f"{self.weights[i]:.3g})"
            for i in indices
        )

    def by_name(self, values: np.ndarray) -> dict[str, float | None]:
        """Return one number a class by its name, None for NaN."""
        numbers = (None if np.isnan(v) else float(v) for v in values)
        return dict(zip(self.stats.classes, numbers, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Return names and plain numbers, as written to checkpoints."""
        return {
            "accuracy": self.by_name(self.accuracy),
            "filled": self.by_name(self.filled),
            "weights": self.by_name(self.weights),
            "tau": self.tau,
            "last_update": self.last_update,
        }

    def load_dict(self, content: dict[str, Any]) -> None:
        """Continue from :meth:`to_dict`'s form.

        Raises:
            ValueError: It is about other classes, or in another order.
        """
        names = tuple(content["accuracy"])
        if names != self.stats.classes:
            raise ValueError(
                f"the checkpoint has the difficulty of {len(names)} classes {names}, "
                f"but the training set has {self.stats.num_classes} classes "
                f"{self.stats.classes}"
            )
        for key in ("accuracy", "filled", "weights"):
            # None becomes NaN.
            setattr(self, key, np.array([*content[key].values()], float))
        self.tau = float(content["tau"])
        self.last_update = int(content["last_update"])
