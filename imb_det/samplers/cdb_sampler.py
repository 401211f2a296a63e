"""CDB-S: images with difficult classes are shown more often."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from imb_det.core.text import and_more
from imb_det.registry import DATA_SAMPLERS

from .base import EpochSampler

__all__ = ["CDBSampler"]

_WAYS = ("max", "mean", "class")


@DATA_SAMPLERS.register_module()
class CDBSampler(EpochSampler):
    r"""Class-wise difficulty-balanced sampling: images with hard classes come up.

    ``imb_det.ClassDifficultyHook`` measures the difficulty of the classes and hands
    their weights :math:`w_c \propto d_c^\tau` over, the same as to ``imb_det.CDBLoss``.
    From the next epoch on, an image is drawn in proportion to

    .. math:: w_i = \max_{c \in i} w_c, \quad
              \operatorname{mean}_{c \in i} w_c \quad\text{or}\quad
              \sum_{c \in i} \frac{w_c}{m_c}

    for the :math:`m_c` images with class c. Until the first weights come, all classes
    weigh 1. An epoch is as long as the data set, unless ``num_samples`` says otherwise.

    Args:
        dataset: Built mmengine data set, in any wrappers.
        by: ``'max'`` or ``'mean'`` of the classes of an image, where an image without
            a box weighs 1; or ``'class'``: first a class is drawn by its weight, then
            an image that holds it, so that rare classes come up as well, and an image
            without a box is not drawn. Default: ``'max'``.
        seed: Seed that all ranks share. Default: None, drawn once for all ranks.
        shuffle: Whether to shuffle the epoch. Default: True.
        round_up: Whether to fill an epoch up until all ranks have equally many images.
            Default: True.
        num_samples: Images of an epoch, over all ranks. Default: None, or
            ``'dataset'``: as many as the data set has.

    Raises:
        ValueError, TypeError: Names the argument, what was given and what is valid.
        RuntimeError: When the second epoch starts, without the hook.

    Source: Sinha, Ohashi, Nakamura, "Class-Difficulty Based Methods for Long-Tailed
    Visual Recognition", IJCV 2022 (classes drawn by their difficulty: ``'class'``).
    Images with several classes are not among its subjects: ``'max'`` and ``'mean'`` are
    our own.
    """

    weights_are_copies = False
    changes = True
    balances_by = "difficulty"

    def __init__(
        self,
        dataset: Any,
        by: str = "max",
        seed: int | None = None,
        shuffle: bool = True,
        round_up: bool = True,
        num_samples: int | str | None = None,
    ) -> None:
        if by not in _WAYS:
            raise ValueError(
                f"{type(self).__name__}: `by` must be one of {_WAYS}, got {by!r}"
            )
        self.by = by
        super().__init__(dataset, seed, shuffle, round_up, num_samples)

    def prepare(self) -> None:
        """Start with equal weights."""
        self.difficulty_weights = np.ones(len(self.table.classes))
        self.informed = False
        self._weights = self._of_images()

    def set_class_difficulty_weights(self, weights: Tensor) -> None:
        """Take the weights of the classes; they have effect from the next epoch on.

        Args:
            weights: Float (C,), >= 0.

        Raises:
            ValueError: It has another length, or a weight is negative or not finite.
        """
        numbers = torch.as_tensor(weights).detach().cpu().double().numpy()
        if numbers.shape != self.difficulty_weights.shape:
            raise ValueError(
                f"{type(self).__name__}: got {numbers.shape} weights, but the data set "
                f"has {len(self.difficulty_weights)} classes"
            )
        if bad := np.flatnonzero(~((numbers >= 0) & np.isfinite(numbers))).tolist():
            named = [f"{self.table.classes[c]}: {numbers[c]:g}" for c in bad]
            raise ValueError(
                f"{type(self).__name__}: weights must be finite and >= 0, but those of "
                f"{len(bad)} classes are not: {and_more(named, quoted=False)}"
            )
        self.difficulty_weights = numbers
        self.informed = True
        self._weights = self._of_images()

    def image_weights(self, epoch: int) -> np.ndarray:
        """Return the weights of now; the hook tells the epochs apart."""
        if epoch > 0 and not self.informed:
            raise RuntimeError(
                f"{type(self).__name__}: nothing measures the difficulty of classes; "
                "add `custom_hooks = [dict(type='imb_det.ImbalanceHook'), "
                "dict(type='imb_det.ClassDifficultyHook', source='score')]` to the "
                "config (in a loop of your own: `set_class_difficulty_weights`)"
            )
        return self._weights

    def describe(self) -> str:
        """Return how the weights of images follow, and their range over classes."""
        low, high = self.difficulty_weights.min(), self.difficulty_weights.max()
        return f"by='{self.by}', class weights from {low:.3g} to {high:.3g}"

    def _of_images(self) -> np.ndarray:
        """Turn weights of classes into weights of images."""
        table, weights = self.table, self.difficulty_weights
        if self.by == "max":
            return table.largest(weights, empty=1.0)
        image, label = table.pairs
        if self.by == "class":
            holders = np.maximum(table.images_with(self.multiplicity), 1)
            return np.bincount(image, (weights / holders)[label], minlength=len(table))
        number = np.bincount(image, minlength=len(table))
        total = np.bincount(image, weights[label], minlength=len(table))
        return np.where(number > 0, total / np.maximum(number, 1), 1.0)
