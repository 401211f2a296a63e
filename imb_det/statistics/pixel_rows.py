"""How many pixels of each class the images have, beside their objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, vstack

__all__ = ["PixelRows", "joined_pixels"]


class PixelRows:
    """Collects ``pixels`` of records, a number for each class that an image shows."""

    def __init__(self) -> None:
        self._labels: list[int] = []
        self._counts: list[int] = []
        self._ends = [0]
        self._is_known = True

    def noting(self, infos: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield records, and keep their pixels."""
        for info in infos:
            pixels = info.get("pixels")
            self._is_known &= pixels is not None
            self._labels += (pixels or {}).keys()
            self._counts += (pixels or {}).values()
            self._ends.append(len(self._labels))
            yield info

    def matrix(self, num_classes: int) -> csr_matrix | None:
        """Return the pixels of n images and C classes, int64 (n, C).

        None where a record has none, as those with boxes alone.
        """
        if not self._is_known or len(self._ends) == 1:
            return None
        counts = np.array(self._counts, np.int64)
        parts = (counts, np.array(self._labels, np.int64), np.array(self._ends))
        return csr_matrix(parts, shape=(len(self._ends) - 1, num_classes))


def joined_pixels(parts: Sequence[csr_matrix | None]) -> csr_matrix | None:
    """Return the images of all parts; None where one has no pixels."""
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts):
        return None
    return known[0] if len(known) == 1 else vstack(known, "csr")
