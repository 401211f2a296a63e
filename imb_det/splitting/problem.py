"""What is to be shared among the parts, as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix, hstack

from imb_det.statistics.label_table import LabelTable

from .parts import Parts

__all__ = ["SplitProblem"]


@dataclass(frozen=True, eq=False)
class SplitProblem:
    """Groups of images that stay together, with what each of them holds.

    Args:
        table: Classes of each image, N images and C classes.
        group_of: Group of each image, int (N,), from 0 to G - 1, none without an image.
        parts: Names and shares of the P parts.
    """

    table: LabelTable
    group_of: np.ndarray
    parts: Parts

    @cached_property
    def counts(self) -> csr_matrix:
        """What each group holds, float64 (G, 2 + 2 C).

        The columns are images, images without an object, images of each class, and
        boxes of each class.
        """
        table, num_images = self.table, len(self.table)
        shape = (num_images, len(table.classes))
        ones = np.ones(len(table.labels))
        boxes = csr_matrix((ones, (table.image, table.labels)), shape=shape)
        images = boxes.copy()
        boxes.sum_duplicates()
        images.sum_duplicates()
        images.data[:] = 1
        empty = (np.diff(table.offsets) == 0).astype(float)[:, None]
        everything = np.ones((num_images, 1))
        columns = hstack([everything, csr_matrix(empty), images, boxes], "csr")
        members = csr_matrix(
            (np.ones(num_images), (self.group_of, np.arange(num_images))),
            shape=(int(self.group_of.max(initial=-1)) + 1, num_images),
        )
        counts = csr_matrix(members @ columns)
        counts.sort_indices()
        return counts

    @property
    def num_classes(self) -> int:
        """Number of classes C."""
        return len(self.table.classes)

    @property
    def class_images(self) -> slice:
        """Columns of the images of the classes."""
        return slice(2, 2 + self.num_classes)

    @property
    def class_boxes(self) -> slice:
        """Columns of the boxes of the classes."""
        return slice(2 + self.num_classes, None)

    @cached_property
    def groups_with(self) -> np.ndarray:
        """Groups that hold each class, int64 (C,)."""
        return self.counts[:, self.class_images].getnnz(0).astype(np.int64)

    @cached_property
    def totals(self) -> np.ndarray:
        """Sums of the columns, float64 (2 + 2 C,)."""
        return np.asarray(self.counts.sum(0)).ravel()

    @cached_property
    def targets(self) -> np.ndarray:
        """What each part should hold of each column, float64 (P, 2 + 2 C)."""
        return np.outer(self.parts.shares, self.totals)

    @cached_property
    def absence(self) -> np.ndarray:
        """How bad it is that a part is without a class, float64 (P, C)."""
        return self.parts.absence(self.groups_with)

    def sums(self, part_of: np.ndarray) -> np.ndarray:
        """Return what each part holds of each column, float64 (P, 2 + 2 C).

        Args:
            part_of: Part of each group, int (G,).
        """
        shape = (len(self.parts.names), len(part_of))
        ones = np.ones(len(part_of))
        chosen = csr_matrix((ones, (part_of, np.arange(len(part_of)))), shape=shape)
        return np.asarray((chosen @ self.counts).todense())

    def absence_of(self, part_of: np.ndarray) -> float:
        """Sum up how bad it is what the parts are without.

        Args:
            part_of: Part of each group, int (G,).
        """
        lacks = (self.sums(part_of)[:, self.class_images] == 0) & (self.groups_with > 0)
        return float(self.absence[lacks].sum())

    def errors(self, part_of: np.ndarray) -> np.ndarray:
        """Return how far the shares are from those wanted, relative to these.

        Args:
            part_of: Part of each group, int (G,).

        Returns:
            Float64 (P, 2 + 2 C), from -1, where a part has nothing of a column; NaN
            for columns of nothing.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.sums(part_of) / self.targets - 1)
