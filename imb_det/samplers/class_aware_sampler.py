"""Class-aware sampling: first a class, then an image with it."""

from __future__ import annotations

from typing import Any

import numpy as np

from imb_det.core import is_number
from imb_det.registry import DATA_SAMPLERS

from .base import EpochSampler

__all__ = ["ClassAwareSampler"]


@DATA_SAMPLERS.register_module()
class ClassAwareSampler(EpochSampler):
    r"""Draw a class first, then one of the images that hold it.

    Of the :math:`m_c` images with class c, an image is drawn in proportion to

    .. math:: P_c \propto m_c^q, \qquad w_i = \sum_{c \in i} \frac{P_c}{m_c}

    All classes alike (``power=0``) show a class as often as any other, but for what
    comes along on its images. With ``progressive_epochs=T`` sampling goes over to that
    from the natural one (every image alike, T epochs), epoch e with

    .. math:: (1 - \tfrac{e}{T - 1})\, w^{\text{natural}}
              + \tfrac{e}{T - 1}\, w^{\text{class}}

    An epoch is as long as the data set, unless ``num_samples`` says otherwise. An image
    without a box is drawn only in the natural part.

    Args:
        dataset: Built mmengine data set, in any wrappers.
        power: Exponent q: 0 for all classes alike, 0.5 for the square root, 1 for
            classes in proportion to their images. Default: 0.
        progressive_epochs: Epochs T of the change, at least 2, or None for none. Later
            epochs are as the last of them. Default: None.
        seed: Seed that all ranks share. Default: None, drawn once for all ranks.
        shuffle: Whether to shuffle the epoch. Default: True.
        round_up: Whether to fill an epoch up until all ranks have equally many images.
            Default: True.
        num_samples: Images of an epoch, over all ranks. Default: None, or
            ``'dataset'``: as many as the data set has.

    Raises:
        ValueError, TypeError: Names the argument, what was given and what is valid; or
            the data set has no box.

    Source: Shen, Lin, Huang, "Relay Backpropagation for Effective Learning of Deep
    Convolutional Neural Networks", ECCV 2016 (class-aware sampling); Kang et al.,
    "Decoupling Representation and Classifier for Long-Tailed Recognition", ICLR 2020,
    section 3 (powers, progressive balancing; over images with one class). Classes are
    counted by their images here. mmdet's class of this name goes through the classes in
    turn; here an epoch is drawn as a whole (systematic resampling), with the same mean.
    """

    weights_are_copies = False

    def __init__(
        self,
        dataset: Any,
        power: float = 0.0,
        progressive_epochs: int | None = None,
        seed: int | None = None,
        shuffle: bool = True,
        round_up: bool = True,
        num_samples: int | str | None = None,
    ) -> None:
        name = type(self).__name__
        if not is_number(power):
            raise TypeError(f"{name}: `power` must be a number, got {power!r}")
        if not 0 <= power <= 1:
            raise ValueError(f"{name}: `power` must be from 0 to 1, got {power!r}")
        epochs = progressive_epochs
        if epochs is not None:
            if isinstance(epochs, bool) or not isinstance(epochs, int):
                raise TypeError(
                    f"{name}: `progressive_epochs` must be a whole number or None, got "
                    f"{epochs!r}"
                )
            if epochs < 2:
                raise ValueError(
                    f"{name}: `progressive_epochs` must be at least 2, got {epochs}"
                )
        self.power = power
        self.progressive_epochs = epochs
        self.changes = epochs is not None
        super().__init__(dataset, seed, shuffle, round_up, num_samples)

    def prepare(self) -> None:
        """Compute the weights of images of both kinds, each of sum 1 over an epoch."""
        holders = self.table.images_with(self.multiplicity)
        occurs = holders > 0
        share = np.zeros(len(holders))
        share[occurs] = holders[occurs] ** self.power
        share[occurs] /= share.sum() * holders[occurs]
        image, label = self.table.pairs
        self._by_class = np.bincount(image, share[label], minlength=len(self.table))
        self._natural = np.full(len(self.table), 1 / max(len(self.image), 1))

        if self.progressive_epochs is not None:
            # Now, and not first when the natural part has gone.
            self._checked_weights(self.progressive_epochs - 1)

    def image_weights(self, epoch: int) -> np.ndarray:
        """Return the weights of an epoch."""
        if self.progressive_epochs is None:
            return self._by_class
        done = min(epoch / (self.progressive_epochs - 1), 1.0)
        return (1 - done) * self._natural + done * self._by_class

    def describe(self) -> str:
        """Return exponent and schedule."""
        text = f"power={self.power:g}"
        if self.progressive_epochs is not None:
            text += (
                f", from natural sampling (this epoch, the first) to it in "
                f"{self.progressive_epochs} epochs"
            )
        return text
