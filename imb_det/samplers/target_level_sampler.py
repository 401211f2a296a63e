"""Over- or undersampling of all classes towards a level of balance."""

from __future__ import annotations

from typing import Any

import numpy as np

from imb_det.core import is_number
from imb_det.registry import DATA_SAMPLERS
from imb_det.statistics.target_level import balance_level, level_weights

from .base import EpochSampler

__all__ = ["TargetLevelSampler"]

_MISSED = 0.05  # difference of levels that is worth a warning


@DATA_SAMPLERS.register_module()
class TargetLevelSampler(EpochSampler):
    r"""Bring the boxes of all classes towards a level of balance.

    Class c with :math:`n_c` boxes is to have, in an epoch,

    .. math:: t_c = n_c^{1 - L} n_{\max}^L \quad\text{(oversampling)}, \qquad
              t_c = n_c^{1 - L} n_{\min}^L \quad\text{(undersampling)}

    Images show all their classes at once, so the targets are met as well as they can be
    (:func:`~imb_det.statistics.target_level.level_weights`): an image is shown
    1 to ``max_repeat`` times when oversampling, and at most once when undersampling.
    The log and the receipt tell the level that is really reached.

    Args:
        dataset: Built mmengine data set, in any wrappers.
        level: L, from 0 (as is) to 1 (all classes alike). Default: 0.5.
        mode: ``'oversample'`` or ``'undersample'``. Default: ``'oversample'``.
        max_repeat: Most copies of an image when oversampling, >= 1. Default: 10.
        seed: Seed that all ranks share. Default: None, drawn once for all ranks.
        shuffle: Whether to shuffle the epoch. Default: True.
        round_up: Whether to fill an epoch up until all ranks have equally many images.
            Default: True.
        num_samples: Images of an epoch, over all ranks, or ``'dataset'``: as many as
            the data set has. Default: None, the sum of the copies.

    Raises:
        ValueError, TypeError: Names the argument, what was given and what is valid.

    Source: Buda, Maki, Mazurowski, "A systematic study of the class imbalance problem
    in convolutional neural networks", Neural Networks 2018: levels and targets, for
    images with one class. The fit for several classes and the limit are our own.
    """

    def __init__(
        self,
        dataset: Any,
        level: float = 0.5,
        mode: str = "oversample",
        max_repeat: float = 10.0,
        seed: int | None = None,
        shuffle: bool = True,
        round_up: bool = True,
        num_samples: int | str | None = None,
    ) -> None:
        name = type(self).__name__
        if mode not in ("oversample", "undersample"):
            raise ValueError(
                f"{name}: `mode` must be 'oversample' or 'undersample', got {mode!r}"
            )
        for key, value, low, high in (
            ("level", level, 0, 1),
            ("max_repeat", max_repeat, 1, 1e6),
        ):
            if not is_number(value):
                raise TypeError(f"{name}: `{key}` must be a number, got {value!r}")
            if not low <= value <= high:
                raise ValueError(
                    f"{name}: `{key}` must be from {low} to {high:g}, got {value!r}"
                )
        self.level = level
        self.mode = mode
        self.max_repeat = max_repeat
        super().__init__(dataset, seed, shuffle, round_up, num_samples)

    def prepare(self) -> None:
        """Fit the weights of the images."""
        shown = self.table.take(self.image)  # an epoch as it is, wrappers included
        weights = level_weights(
            shown, self.level, self.mode == "oversample", self.max_repeat
        )
        self.reached = balance_level(shown.instances_of(weights), shown.instances_of())
        # Indices that stand for one image have one weight.
        self._weights = np.zeros(len(self.table))
        self._weights[self.image] = weights

    def image_weights(self, epoch: int) -> np.ndarray:
        """Return the fitted weights."""
        return self._weights

    def describe(self) -> str:
        """Return the level that is wanted, and the one that is reached."""
        limit = f", max_repeat={self.max_repeat:g}" * (self.mode == "oversample")
        return (
            f"level={self.level:g} by mode='{self.mode}'{limit}; reached "
            f"{self.reached:.3f}"
        )

    def notes(self) -> list[str]:
        """Say so where the level is missed by much."""
        if self.reached > self.level - _MISSED:
            return []
        limit = " or `max_repeat` forbids more copies" * (self.mode == "oversample")
        return [
            f"{type(self).__name__}: level {self.reached:.3f} is reached where "
            f"{self.level:g} is wanted: classes share images{limit}"
        ]
