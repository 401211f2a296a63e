"""Epochs that are longer than anybody means."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from imb_det.statistics.dataset_access import dataset_nodes
from imb_det.statistics.systematic import epoch_length

__all__ = ["LONG_EPOCH", "checked_length", "long_epoch", "repeats_twice"]

#: Times the data set from which on an epoch is worth a warning.
LONG_EPOCH = 4.0
_LONGEST_EPOCH = 1000.0  # times the data set
_SHORTER = (
    "Set `max_repeat`, lower `repeat_thr`, `power` or `level`, or set `num_samples`, "
    "the images of an epoch"
)


class _Sampler(Protocol):
    length: int
    is_asked_length: bool

    def describe(self) -> str: ...


def checked_length(sampler: _Sampler, copies: np.ndarray) -> int:
    """Return the length of an epoch, if anybody can mean it.

    Args:
        sampler: For the message.
        copies: How often each index is to be drawn, (n,).

    Raises:
        ValueError: It is more than 1000 times the data set.
    """
    length = epoch_length(copies)
    if length > _LONGEST_EPOCH * len(copies):
        raise ValueError(
            f"{type(sampler).__name__}: an epoch would have {length:.3g} images, "
            f"{length / len(copies):.3g} times the data set, by {sampler.describe()}. "
            f"{_SHORTER}"
        )
    return length


def long_epoch(sampler: _Sampler, before: int) -> list[str]:
    """Warn of an epoch that is much longer than the data set, unasked.

    Args:
        sampler: With the length of its epochs.
        before: Images of an epoch without it.
    """
    factor = sampler.length / before
    if sampler.is_asked_length or factor <= LONG_EPOCH:
        return []
    return [
        f"{type(sampler).__name__} makes an epoch {factor:.1f} times as long: "
        f"{sampler.length} images in place of {before}; schedules by epochs grow "
        f"with it. {_SHORTER}"
    ]


def repeats_twice(dataset: Any) -> list[str]:
    """Warn of a wrapper that repeats rare classes as well.

    Args:
        dataset: Of the sampler, wrapped in any way.
    """
    return [
        f"{type(node).__name__} (oversample_thr={node.oversample_thr}) in the data set "
        "repeats images with rare classes already, and the sampler does so once more: "
        "give the sampler the data set without that wrapper, or use DefaultSampler"
        for node in dataset_nodes(dataset)
        if hasattr(node, "repeat_indices")
    ]
