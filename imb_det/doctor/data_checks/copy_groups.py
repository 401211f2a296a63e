"""Groups of files that are copies, some of which are near others."""

from __future__ import annotations

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
        if edges is None:
            edges = np.zeros((0, 2), np.int64)
        both = np.concatenate([edges[:, ::-1], edges])
        both = both[np.argsort(both[:, 0], kind="stable")]
        self._others = both[:, 1]
        self._start = np.searchsorted(both[:, 0], np.arange(len(groups) + 1)).tolist()

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
            closest = next((k for k in (index, *self._near(index)) if k in first), None)
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
            before = [other for other in self._near(index) if other < index]
            closest = next((k for k in (*before, index) if k in first), None)
            if closest is not None:
                others = [p for p in group if p in own and p != first[closest]]
                pairs += [(path, first[closest]) for path in others]
        return pairs

    def _near(self, index: int) -> list[int]:
        """Return the groups near one, ascending."""
        near: list[int] = self._others[
            self._start[index] : self._start[index + 1]
        ].tolist()
        return near

    def _first(self, own: Collection[str]) -> dict[int, str]:
        """Return the first file of a set in each group that has one."""
        found = {}
        for index, group in enumerate(self.groups):
            path = next((path for path in group if path in own), None)
            if path is not None:
                found[index] = path
        return found
