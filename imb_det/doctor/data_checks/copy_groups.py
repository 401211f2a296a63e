"""Groups of files that are copies, some of which are near others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

import numpy as np

__all__ = ["CopyGroups"]


class CopyGroups:
    """Groups of equal files, and which groups are near one another.

    Args:
        groups: Files of each group; no file is in two of them.
        edges: Pairs of groups whose files are near copies, int (k, 2). Default: none.
    """

    def __init__(
        self, groups: Sequence[Sequence[str]], edges: np.ndarray | None = None
    ) -> None:
        self.groups = groups
        near: dict[int, list[int]] = defaultdict(list)
        for one, other in () if edges is None else edges.tolist():
            near[one].append(other)
            near[other].append(one)
        self._near = near

    def between(
        self, judged: Collection[str], trained: Collection[str]
    ) -> list[tuple[str, str]]:
        """Return the files of one set with a copy in another, and that copy.

        Args:
            judged: Files of the set; those that are in both are left out.
            trained: Files of the other.
        """
        first = self._first(trained)
        pairs = []
        for index, group in enumerate(self.groups):
            closest = next((k for k in (index, *self._near[index]) if k in first), None)
            if closest is not None:
                fresh = [p for p in group if p in judged and p not in trained]
                pairs += [(path, first[closest]) for path in fresh]
        return pairs

    def within(self, own: Collection[str]) -> list[tuple[str, str]]:
        """Return the files of a set that are copies of one before, and that one.

        Args:
            own: Files of the set.
        """
        first = self._first(own)
        pairs = []
        for index, group in enumerate(self.groups):
            before = [other for other in self._near[index] if other < index]
            closest = next((k for k in (*before, index) if k in first), None)
            if closest is not None:
                others = [p for p in group if p in own and p != first[closest]]
                pairs += [(path, first[closest]) for path in others]
        return pairs

    def _first(self, own: Collection[str]) -> dict[int, str]:
        """Return the first file of a set in each group that has one."""
        found = {}
        for index, group in enumerate(self.groups):
            path = next((path for path in group if path in own), None)
            if path is not None:
                found[index] = path
        return found
