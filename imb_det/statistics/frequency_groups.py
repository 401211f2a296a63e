"""Rare, common and frequent classes; the one place that draws these lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["DEFAULT_LIMITS", "GROUP_NAMES", "GroupLimits", "frequency_groups"]

#: Names of the groups, from few training images to many.
GROUP_NAMES = ("rare", "common", "frequent")
_OF_LVIS = (10, 100)


@dataclass(frozen=True)
class GroupLimits:
    """Where rare classes end and frequent ones begin.

    A class is rare up to and including the first threshold, frequent above the
    second, else common. A class without any training image is rare.

    Args:
        thresholds: Training images, two numbers, ``0 <= first < second``. Default:
            (10, 100).
        quantiles: Shares of the classes that are rare, and rare or common, ``0 < first
            < second < 1``; they replace the thresholds. Classes of equal counts stay
            together. Default: None.

    Raises:
        ValueError: Thresholds that are not two ascending numbers >= 0, or quantiles
            that are not two ascending numbers between 0 and 1.

    Source: LVIS (Gupta et al., 2019) with its limits of 10 and 100 images, which are
    the letters ``r``, ``c``, ``f`` of its annotation files.
    """

    thresholds: Sequence[float] = _OF_LVIS
    quantiles: Sequence[float] | None = None

    def __post_init__(self) -> None:
        limits = _two_numbers(self.thresholds)
        if limits is None or not 0 <= limits[0] < limits[1]:
            raise ValueError(
                "`thresholds` must be two numbers, 0 <= first < second (the last "
                "counts of a rare and of a common class), got "
                f"{self.thresholds!r}"
            )
        object.__setattr__(self, "thresholds", limits)
        if self.quantiles is None:
            return
        shares = _two_numbers(self.quantiles)
        if shares is None or not 0 < shares[0] < shares[1] < 1:
            raise ValueError(
                "`quantiles` must be two numbers, 0 < first < second < 1 (shares of "
                f"the classes), got {self.quantiles!r}"
            )
        object.__setattr__(self, "quantiles", shares)

    def thresholds_for(self, image_count: npt.ArrayLike) -> Sequence[float]:
        """Return the last counts of a rare and of a common class.

        Args:
            image_count: Training images of each class; whole numbers >= 0, shape (C,).
        """
        counts = _checked(image_count)
        if self.quantiles is None or not counts.size:
            return self.thresholds
        found = np.quantile(counts, self.quantiles, method="inverted_cdf")
        return (*found.tolist(),)

    def groups(self, image_count: npt.ArrayLike) -> dict[str, np.ndarray]:
        """Split classes by the number of training images that hold them.

        Args:
            image_count: Training images of each class; whole numbers >= 0, shape (C,).

        Returns:
            Class indices, int64, ascending, by the name of the group (``rare``,
            ``common``, ``frequent``, in this order). A group without class is absent.

        Raises:
            ValueError: Counts that are not one-dimensional, whole and >= 0.
        """
        counts = _checked(image_count)
        group = np.searchsorted(self.thresholds_for(counts), counts, side="left")
        members = {n: np.flatnonzero(group == i) for i, n in enumerate(GROUP_NAMES)}
        return {name: indices for name, indices in members.items() if indices.size}

    def describe(self, image_count: npt.ArrayLike) -> dict[str, str]:
        """Return what each group is, in words.

        Args:
            image_count: Training images of each class; whole numbers >= 0, shape (C,).

        Example:
            >>> GroupLimits().describe([3, 500, 11])
            {'rare': '<= 10 images', 'common': '11 to 100', 'frequent': '> 100'}
        """
        first, second = self.thresholds_for(image_count)
        least = int(first // 1) + 1
        common = f"{least} to {second:g}" if least <= second else "none"
        texts = f"<= {first:g} images", common, f"> {second:g}"
        return dict(zip(GROUP_NAMES, texts, strict=True))

    def to_dict(self) -> dict[str, list[float] | None]:
        """Return plain lists, as written to JSON and checkpoints."""
        shares = None if self.quantiles is None else list(self.quantiles)
        return {"thresholds": list(self.thresholds), "quantiles": shares}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> GroupLimits:
        """Build from :meth:`to_dict`'s form."""
        return cls(**content)

    @classmethod
    def given(
        cls,
        thresholds: Sequence[float] | None = None,
        quantiles: Sequence[float] | None = None,
    ) -> GroupLimits | None:
        """Return limits of which only one need be given, None without any.

        Args:
            thresholds: See the class; None for the usual ones.
            quantiles: See there.

        Raises:
            ValueError: Limits that do not exist.
        """
        if thresholds is None and quantiles is None:
            return None
        return cls(_OF_LVIS if thresholds is None else thresholds, quantiles)

    @classmethod
    def from_config(cls, config: Any) -> GroupLimits:
        """Return the limits that a config gives its ``ImbalanceHook``, else the usual.

        Args:
            config: Of a training.
        """
        for hook in config.get("custom_hooks") or ():
            if not isinstance(hook, Mapping):
                continue  # told where hooks are built
            kind = hook.get("type")
            name = getattr(kind, "__name__", str(kind)).rpartition(".")[2]
            if name == "ImbalanceHook":
                limits = hook.get("group_thresholds"), hook.get("group_quantiles")
                return cls.given(*limits) or DEFAULT_LIMITS
        return DEFAULT_LIMITS


def frequency_groups(
    image_count: npt.ArrayLike,
    thresholds: Sequence[float] = _OF_LVIS,
    quantiles: Sequence[float] | None = None,
) -> dict[str, np.ndarray]:
    """Split classes by the number of training images that hold them.

    Where :class:`~imb_det.statistics.ClassStats` are at hand, their ``groups()`` go by
    the limits that the config gives.

    Args:
        image_count: Training images of each class; whole numbers >= 0, shape (C,).
        thresholds: See :class:`GroupLimits`, as for ``quantiles``.
        quantiles: See there.

    Returns:
        Class indices, int64, ascending, by the name of the group (``rare``,
        ``common``, ``frequent``, in this order). A group without class is absent.

    Raises:
        ValueError: Counts that are not one-dimensional, whole and >= 0; limits that do
            not exist, see there.

    Example:
        >>> {name: ids.tolist() for name, ids in frequency_groups([3, 500, 11]).items()}
        {'rare': [0], 'common': [2], 'frequent': [1]}
    """
    return GroupLimits(thresholds, quantiles).groups(image_count)


def _two_numbers(values: Any) -> tuple[float, ...] | None:
    """Return two numbers, whole ones as int, or None if they are something else."""
    try:
        numbers = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        return None
    if numbers.shape != (2,) or not np.isfinite(numbers).all():
        return None
    return tuple(int(v) if v == int(v) else v for v in numbers.tolist())


def _checked(image_count: npt.ArrayLike) -> np.ndarray:
    """Return the counts as an array, if that is what they are."""
    counts = np.asarray(image_count)
    if counts.ndim != 1 or not (
        np.issubdtype(counts.dtype, np.number) and np.all(counts >= 0)
    ):
        raise ValueError(
            f"`image_count` needs one number >= 0 for each class, got {image_count!r}"
        )
    if not np.all(np.isfinite(counts) & (counts == np.floor(counts))):
        raise ValueError(f"`image_count` must hold whole numbers, got {image_count!r}")
    return counts


#: Those of LVIS.
DEFAULT_LIMITS = GroupLimits()
