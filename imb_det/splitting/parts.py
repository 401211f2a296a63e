"""The parts that a data set is shared among, and what a class must not lack."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Parts"]

#: What becomes the name of a file.
_NAME = re.compile(r"[\w-]+")
_MOST = 100  # parts


@dataclass(frozen=True)
class Parts:
    """Names and shares of the parts.

    Args:
        names: Letters, digits, ``_`` and ``-``, unique; two to 100. The first part is
            trained on and the second judges the training, further ones test it, unless
            these are folds.
        shares: Of the images, one for each part, above 0, with sum 1; or whole numbers
            in proportion.
        are_folds: Whether each part judges a training on all others. Default: False.

    Raises:
        ValueError: Names or shares that cannot be; says which.

    Example:
        >>> Parts(("train", "val", "test"), (8, 1, 1)).shares
        (0.8, 0.1, 0.1)
    """

    names: tuple[str, ...]
    shares: tuple[float, ...]
    are_folds: bool = False

    def __post_init__(self) -> None:
        names, shares = self.names, self.shares
        if not 2 <= len(names) <= _MOST or len(names) != len(shares):
            raise ValueError(
                f"two to {_MOST} parts with a share each are needed, got {len(names)} "
                f"names and {len(shares)} shares"
            )
        if bad := [name for name in names if not _NAME.fullmatch(name)]:
            raise ValueError(
                f"parts are files: their names must be of letters, digits, `_` and "
                f"`-`, not {bad}"
            )
        if len({name.casefold() for name in names}) < len(names):
            raise ValueError(f"parts need names of their own, got {list(names)}")
        if not all(0 < share < math.inf for share in shares):
            raise ValueError(f"shares must be above 0, got {list(shares)}")
        total = math.fsum(shares)
        are_whole = all(float(share).is_integer() for share in shares)
        if not are_whole and abs(total - 1) > 1e-6:
            raise ValueError(
                f"shares must have the sum 1, or be whole numbers in proportion, got "
                f"{list(shares)} with the sum {total:g}"
            )
        object.__setattr__(self, "shares", tuple(share / total for share in shares))

    @classmethod
    def parse(cls, words: Sequence[str]) -> Parts:
        """Read ``name=share``, one for each part.

        Args:
            words: In any order, where names begin with ``train`` and ``val``; else
                training first, then validation.

        Raises:
            ValueError: As the class; or a word of another form.

        Example:
            >>> Parts.parse(["test=0.1", "val=0.1", "train=0.8"]).names
            ('train', 'val', 'test')
        """
        plain = [word.casefold() for word in words]
        first = [
            next((i for i, word in enumerate(plain) if word.startswith(kind)), None)
            for kind in ("train", "val")
        ]
        known = [place for place in first if place is not None]
        others = [place for place in range(len(words)) if place not in known]
        if first[0] is None:  # by its place
            known, others = [*others[:1], *known], others[1:]
        pairs = [words[place].partition("=") for place in (*known, *others)]
        try:
            shares = tuple(float(share) for _, _, share in pairs)
        except ValueError:
            raise ValueError(
                f"parts are `name=share`, such as `train=0.8 val=0.2`, got {words}"
            ) from None
        return cls(tuple(name for name, _, _ in pairs), shares)

    @classmethod
    def folds(cls, number: int) -> Parts:
        """Return folds of one size.

        Raises:
            ValueError: Fewer than two, or more than 100.
        """
        if not 2 <= number <= _MOST:
            raise ValueError(f"there can be 2 to {_MOST} folds, not {number}")
        names = tuple(f"fold{index}" for index in range(number))
        return cls(names, (1,) * number, are_folds=True)

    def absence(self, groups_with: np.ndarray) -> np.ndarray:
        """Say how bad it is for a class to be in none of the images of a part.

        Sums of these numbers tell which split is better: a class in training and
        validation comes before anything else, training first; a class that can be in
        one part only is better trained on than judged; then come the tests. Folds are
        all alike.

        Args:
            groups_with: Groups of images that hold each class, (C,).

        Returns:
            Whole numbers as float64, (P, C).
        """
        num_parts, num_classes = len(self.names), len(groups_with)
        cost = np.ones((num_parts, num_classes))
        if self.are_folds:
            return cost
        least = float(num_parts * num_classes + 1)
        has_two = groups_with >= 2
        cost[0] = np.where(has_two, least**2 + least, least)
        cost[1] = np.where(has_two, least**2, 0)
        return cost

    def least_absence(self, groups_with: np.ndarray) -> float:
        """Return the sum that no split can get below, each class by itself.

        Args:
            groups_with: As for :meth:`absence`.
        """
        cost = np.sort(self.absence(groups_with), 0)[::-1]  # the worst first
        place = np.arange(len(cost))[:, None]
        return float(cost[(place >= groups_with) & (groups_with > 0)].sum())
