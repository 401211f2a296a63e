"""Rare, common and frequent classes; the one place that draws these lines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["GROUP_NAMES", "frequency_groups"]

#: Names of the groups, from few training images to many.
GROUP_NAMES = ("rare", "common", "frequent")


def frequency_groups(
    image_count: npt.ArrayLike,
    thresholds: Sequence[float] = (10, 100),
    quantiles: Sequence[float] | None = None,
) -> dict[str, np.ndarray]:
    """Split classes by the number of training images that hold them.

    A class is rare up to and including the first threshold, frequent above the
    second, else common. A class without any training image is rare.

    Args:
        image_count: Training images of each class; whole numbers >= 0, shape (C,).
        thresholds: Two numbers, ``0 <= first < second``. Default: (10, 100).
        quantiles: Shares of the classes that are rare, and rare or common, ``0 < first
            < second < 1``; they replace the thresholds. Classes of equal counts stay
            together. Default: None.

    Returns:
        Class indices, int64, ascending, by the name of the group (``rare``,
        ``common``, ``frequent``, in this order). A group without class is absent.

    Raises:
        ValueError: Counts that are not one-dimensional, whole and >= 0, thresholds
            that are not two ascending numbers >= 0, or quantiles that are not two
            ascending numbers between 0 and 1.

    Source:
        LVIS (Gupta et al., 2019) with its limits of 10 and 100 images, which are
        the letters ``r``, ``c``, ``f`` of its annotation files.

    Example:
        >>> {name: ids.tolist() for name, ids in frequency_groups([3, 500, 11]).items()}
        {'rare': [0], 'common': [2], 'frequent': [1]}
    """
    counts = np.asarray(image_count)
    if counts.ndim != 1 or not (
        np.issubdtype(counts.dtype, np.number) and np.all(counts >= 0)
    ):
        raise ValueError(
            f"`image_count` needs one number >= 0 for each class, got {image_count!r}"
        )
    if not np.all(np.isfinite(counts) & (counts == np.floor(counts))):
        raise ValueError(f"`image_count` must hold whole numbers, got {image_count!r}")
    limits = np.asarray(thresholds, dtype=float)
    if limits.shape != (2,) or not 0 <= limits[0] < limits[1]:
        raise ValueError(
            "`thresholds` must be two numbers, 0 <= first < second (the last counts "
            f"of a rare and of a common class), got {thresholds!r}"
        )
    if quantiles is not None:
        shares = np.asarray(quantiles, dtype=float)
        if shares.shape != (2,) or not 0 < shares[0] < shares[1] < 1:
            raise ValueError(
                "`quantiles` must be two numbers, 0 < first < second < 1 (shares of "
                f"the classes), got {quantiles!r}"
            )
        if counts.size:
            limits = np.quantile(counts, shares, method="inverted_cdf")
    group = np.searchsorted(limits, counts, side="left")
    members = {name: np.flatnonzero(group == i) for i, name in enumerate(GROUP_NAMES)}
    return {name: indices for name, indices in members.items() if indices.size}
