"""What all samplers of the library share: draws, order, ranks and length."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
from mmengine.dist import get_dist_info, is_main_process, sync_random_seed
from mmengine.logging import print_log
from torch.utils.data import Sampler

from imb_det.core.finding import raise_findings
from imb_det.core.main_process import on_main_process
from imb_det.statistics import ClassStats
from imb_det.statistics.dataset_access import (
    image_of_index,
    name_of_image,
)
from imb_det.statistics.label_cache import label_table
from imb_det.statistics.label_table import LabelTable
from imb_det.statistics.rank_agreement import compare_ranks
from imb_det.statistics.systematic import draw_copies

from .epoch_length import checked_length, long_epoch, repeats_twice
from .mixing import mixing_of
from .partner_lines import with_partners
from .partner_weights import set_partner_weights
from .receipt import SamplingReceipt, make_receipt

__all__ = ["EpochSampler"]


class EpochSampler(Sampler[int]):
    """Base of samplers that show an image a wanted number of times in an epoch.

    A subclass says how often, on average (:meth:`image_weights`). Each epoch, copies of
    the images are drawn by systematic resampling
    (:func:`~imb_det.statistics.systematic.draw_copies`) and shuffled. What comes out
    follows from ``(seed, epoch)`` alone and is the same on every rank, which takes
    every ``world_size``-th index. All epochs are equally long.

    The classes of the images are read by rank 0, once; multi-image transforms of the
    library get the same weights for their partners, and data sets for the image that
    they draw where their pipeline refuses one. What the sampler does to the
    classes is logged when it is built, and written to the work folder by
    ``imb_det.ImbalanceHook``.

    Args:
        dataset: Built mmengine data set, in any wrappers.
        seed: Seed that all ranks share. Default: None, drawn once for all ranks.
        shuffle: Whether to shuffle the epoch; without, indices ascend, and copies of an
            image follow each other. Default: True.
        round_up: Whether the first indices of an epoch are added to its end until all
            ranks have equally many. Default: True.
        num_samples: Images of an epoch, over all ranks, or ``'dataset'``: as many as
            the data set has. Default: None, what the weights add up to.

    Raises:
        TypeError: An argument is of another type.
        ValueError: ``num_samples`` is below 1 or ``seed`` below 0, or no image has any
            weight.
    """

    #: Whether weights are copies of an image in an epoch, else only their ratios count
    #: and an epoch is as long as the data set.
    weights_are_copies = True
    #: Whether weights may differ from epoch to epoch.
    changes = False
    #: What raises a class: its ``counts`` or its ``difficulty``.
    balances_by = "counts"

    def __init__(
        self,
        dataset: Any,
        seed: int | None = None,
        shuffle: bool = True,
        round_up: bool = True,
        num_samples: int | str | None = None,
    ) -> None:
        name = type(self).__name__
        for key, value in dict(shuffle=shuffle, round_up=round_up).items():
            if not isinstance(value, bool):
                raise TypeError(f"{name}: `{key}` must be a bool, got {value!r}")
        words = {"seed": (None,), "num_samples": (None, "dataset")}
        for key, number, least in (("seed", seed, 0), ("num_samples", num_samples, 1)):
            if number in words[key]:
                continue
            if isinstance(number, bool) or not isinstance(number, (int, np.integer)):
                or_else = " or ".join(map(repr, words[key]))
                raise TypeError(
                    f"{name}: `{key}` must be a whole number or {or_else}, got "
                    f"{number!r}"
                )
            if number < least:
                raise ValueError(f"{name}: `{key}` must be >= {least}, got {number}")
        settings = {f"`{key}`": value for key, value in vars(self).items()}
        settings |= dict(seed=seed, shuffle=shuffle, round_up=round_up)
        settings |= dict(num_samples=num_samples, sampler=name)
        raise_findings(compare_ranks(name, dataset, settings), f"{name}, when built")
        self.dataset = dataset
        self.rank, self.world_size = get_dist_info()
        self.seed = sync_random_seed() if seed is None else seed
        self.shuffle = shuffle
        self.round_up = round_up
        #: Whether the config gives the length of an epoch.
        self.is_asked_length = num_samples is not None
        self.epoch = 0
        self.table: LabelTable = on_main_process(lambda: label_table(dataset))
        self.image = image_of_index(dataset)
        #: Indices that stand for each image, int64 (n,).
        self.multiplicity = np.bincount(self.image, minlength=len(self.table))
        self.class_stats = ClassStats.from_table(self.table, self.image)
        self.prepare()
        wanted = self._checked_weights(0)[self.image]
        if num_samples == "dataset":
            self.length = len(self.image)
        elif num_samples is not None:
            self.length = int(num_samples)
        elif self.weights_are_copies:
            self.length = checked_length(self, wanted)
        else:
            self.length = len(self.image)
        self.hand_over_weights(0)
        self._report()

    def set_class_stats(self, stats: ClassStats) -> None:
        """Take the limits of rare, common and frequent classes that the config gives.

        Args:
            stats: Of the training set, from ``ImbalanceHook``. Its counts are not
                used: the sampler has counted its own data set.
        """
        self.class_stats = self.class_stats.with_limits(stats.group_limits)

    def prepare(self) -> None:
        """Compute what the weights follow from, once; ``table`` and counts are there.

        Raises:
            ValueError: The set cannot be sampled in this way.
        """

    def image_weights(self, epoch: int) -> np.ndarray:
        """Return how often each image is to be shown in an epoch.

        Args:
            epoch: Counted from 0.

        Returns:
            Float64, >= 0, one number for each image of ``table``.
        """
        raise NotImplementedError

    def describe(self) -> str:
        """Return the rule of the sampler, with its numbers, in a few words."""
        raise NotImplementedError

    def notes(self) -> list[str]:
        """Return warnings: where the sampler does nothing, or not what it seems to."""
        return []

    def expected_copies(self, epoch: int) -> np.ndarray:
        """Return how often each index of the data set is drawn on average.

        It is in proportion to the weights. Where these are copies, rounding their sum
        to a whole length moves it by at most half a copy over all images.

        Args:
            epoch: Counted from 0.

        Returns:
            Float64 (len(dataset),), with sum `length`.
        """
        wanted = self._checked_weights(epoch)[self.image]
        return np.asarray(wanted * (self.length / wanted.sum()))

    def order(self, epoch: int) -> np.ndarray:
        """Return the indices of an epoch, of all ranks.

        Args:
            epoch: Counted from 0.

        Returns:
            Int64, `length` of them, and those that ``round_up`` adds.
        """
        rng = np.random.default_rng([self.seed, epoch])
        copies = draw_copies(self.expected_copies(epoch), self.length, rng)
        indices = np.repeat(np.arange(len(copies)), copies)
        if self.shuffle:
            rng.shuffle(indices)
        if self.round_up:
            indices = np.resize(indices, self.total_size)
        return indices

    @property
    def total_size(self) -> int:
        """Indices of an epoch over all ranks, those included that are added."""
        if not self.round_up:
            return self.length
        return -(-self.length // self.world_size) * self.world_size

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that the next iteration is about."""
        self.epoch = epoch

    def hand_over_weights(self, epoch: int) -> None:
        """Give multi-image transforms of the data set the weights of their partners.

        Args:
            epoch: Counted from 0.
        """
        weights = self._checked_weights(epoch)
        set_partner_weights(self.dataset, self.table, weights)

    def __iter__(self) -> Iterator[int]:
        """Yield the indices of this rank."""
        if self.changes:
            self.hand_over_weights(self.epoch)
            if is_main_process():
                line = f"Epoch {self.epoch + 1}, {self.receipt(self.epoch).line()}"
                print_log(line, logger="current")
        indices = self.order(self.epoch)
        yield from indices[self.rank :: self.world_size].tolist()

    def __len__(self) -> int:
        """Return the number of indices of this rank."""
        return -(-(self.total_size - self.rank) // self.world_size)

    def receipt(self, epoch: int = 0) -> SamplingReceipt:
        """Return what an epoch holds of each class, before and after.

        Args:
            epoch: Counted from 0. Default: 0.
        """
        copies = self.expected_copies(epoch)
        receipt = make_receipt(
            rule=f"{type(self).__name__}: {self.describe()}",
            table=self.table,
            stats=self.class_stats,
            image=self.image,
            copies=copies,
            length=self.length,
            name_of=lambda image: name_of_image(self.dataset, image),
            warnings=[
                *repeats_twice(self.dataset),
                *long_epoch(self, len(self.image)),
                *self.notes(),
            ],
        )
        of_images = np.bincount(self.image, copies, minlength=len(self.table))
        weights = self._checked_weights(epoch)
        mixing = mixing_of(self.dataset, self.table, of_images, weights)
        return with_partners(receipt, mixing, self.table)

    def _checked_weights(self, epoch: int) -> np.ndarray:
        """Return the weights, if an epoch can be drawn by them."""
        weights = self.image_weights(epoch)
        if not np.isfinite(weights).all():
            raise ValueError(
                f"{type(self).__name__}: {np.count_nonzero(~np.isfinite(weights))} of "
                f"{len(weights)} images have no finite weight, by {self.describe()}"
            )
        if not weights[self.image].sum() > 0:
            raise ValueError(
                f"{type(self).__name__}: none of the {len(self.image)} images has a "
                "box of a class that weighs anything: there is nothing to draw by"
            )
        return weights

    def _report(self) -> None:
        """Log the receipt on the main rank."""
        if not is_main_process():
            return
        receipt = self.receipt()
        print_log(receipt.text(), logger="current")
        for warning in receipt.warnings:
            print_log(warning, logger="current", level=logging.WARNING)
