"""Which classes each image holds: the table behind counts and samplers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from .dataset_access import class_names, has_area, leaf_datasets
from .loaded_masks import loaded_infos
from .pixel_rows import PixelRows, joined_pixels

__all__ = ["LabelTable"]

_label_of, _box_of = itemgetter("bbox_label"), itemgetter("bbox")
_CHUNK = 500  # images that are Python objects at one time


@dataclass(frozen=True, eq=False)
class LabelTable:
    """Class indices of the counted boxes of every image, in one flat array.

    Args:
        classes: Names in the order of ``metainfo['classes']``, length C.
        labels: Class index of each box in [0, C), image by image, int32 (m,).
        offsets: Image i has the labels from ``offsets[i]`` to ``offsets[i + 1]``,
            int64 (n + 1,).
        pixels: Pixels of each class in each image, sparse int64 (n, C); None where the
            data set has boxes alone. Default: None.
    """

    classes: tuple[str, ...]
    labels: np.ndarray
    offsets: np.ndarray
    pixels: csr_matrix | None = None

    @classmethod
    def from_labels(
        cls, classes: Sequence[str], labels_per_image: Iterable[Sequence[int]]
    ) -> LabelTable:
        """Collect one sequence of class indices an image.

        Raises:
            ValueError: An index that is not in [0, C); names the image.
        """
        parts: list[np.ndarray] = []
        lengths, pending = [0], list[int]()
        for labels in labels_per_image:
            lengths.append(len(labels))
            pending.extend(labels)
            if len(pending) > 100 * _CHUNK:
                parts.append(np.array(pending, np.int32))
                pending.clear()
        parts.append(np.array(pending, np.int32))
        return cls._checked(classes, np.concatenate(parts), np.array(lengths))

    @classmethod
    def from_dataset(cls, dataset: Any) -> LabelTable:
        """Read every image of a built mmengine data set once, through its wrappers.

        Ignored, crowd and difficult boxes are not in the table, nor are boxes without
        area: none of them is a positive example. Nor are boxes that the pipeline hides
        from the training, see :func:`~imb_det.statistics.shown_labels.shows_labels`.
        A segment of stuff counts as a box does, and so does a class of a semantic map,
        once in each image.

        Args:
            dataset: Data set whose records hold ``instances`` with ``bbox``
                (x1, y1, x2, y2), ``bbox_label`` and ``ignore_flag``; with these
                ``segments_info``, as panoptic sets; or ``seg_map_path`` alone.

        Returns:
            The table; objects that the pipeline ignores for their mask are not in it.
            Its images are those of
            :func:`~imb_det.statistics.dataset_access.iter_data_infos`.

        Raises:
            ValueError: No class names, parts that disagree on them, or a label that is
                none of them.
        """
        classes = class_names(dataset)
        leaves = leaf_datasets(dataset)
        return cls.joined([cls.from_infos(classes, loaded_infos(x)) for x in leaves])

    @classmethod
    def from_infos(cls, classes: Sequence[str], infos: Iterable[dict]) -> LabelTable:
        """Read annotation records; see :meth:`from_dataset`."""
        parts: list[np.ndarray] = [np.zeros(0, np.int32)]
        lengths: list[np.ndarray] = [np.zeros(1, np.int64)]
        pixels = PixelRows()
        for labels, ignored, boxes, sizes in _chunks(pixels.noting(infos)):
            counts = ~ignored.astype(bool) & has_area(boxes)
            parts.append(labels[counts].astype(np.int32))
            ends = np.cumsum([0, *sizes])
            lengths.append(np.diff(np.r_[0, np.cumsum(counts)][ends]))
        table = cls._checked(classes, np.concatenate(parts), np.concatenate(lengths))
        return replace(table, pixels=pixels.matrix(len(classes)))

    @classmethod
    def _checked(
        cls, classes: Sequence[str], labels: np.ndarray, lengths: np.ndarray
    ) -> LabelTable:
        """Build from labels and the number of them in each image, 0 before the first.

        Raises:
            ValueError: A label that is no class.
        """
        offsets = np.cumsum(lengths, dtype=np.int64)
        bad = np.flatnonzero((labels < 0) | (labels >= len(classes)))
        if bad.size:
            image = int(np.searchsorted(offsets, bad[0], "right")) - 1
            raise ValueError(
                f"{bad.size} labels are none of the {len(classes)} classes; the first "
                f"is {labels[bad[0]]}, in image {image} (counted from 0)"
            )
        return cls(tuple(map(str, classes)), labels, offsets)

    def __len__(self) -> int:
        """Return the number of images n."""
        return len(self.offsets) - 1

    @property
    def image(self) -> np.ndarray:
        """Image that each label belongs to, int64 (m,), not decreasing."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @cached_property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Image and class of everything that occurs, each pair once; int (k,) each.

        Sorted by image, then by class.
        """
        num_classes = max(len(self.classes), 1)
        # Half of the memory, and faster to sort, where it is enough.
        dtype: type = np.int32 if len(self) * num_classes < 2**31 else np.int64
        keys: np.ndarray = np.repeat(
            np.arange(len(self), dtype=dtype), np.diff(self.offsets)
        )
        keys = np.unique(keys * dtype(num_classes) + self.labels)
        image, label = np.divmod(keys, num_classes)
        return image, label

    def images_with(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Count the images that hold each class.

        Args:
            weights: How much each image counts, float (n,). Default: 1.

        Returns:
            Float64, or int64 without weights, (C,).
        """
        image, label = self.pairs
        rows = None if weights is None else weights[image]
        return np.bincount(label, rows, minlength=len(self.classes))

    def instances_of(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Count the boxes of each class.

        Args:
            weights: How much each image counts, float (n,). Default: 1.

        Returns:
            Float64, or int64 without weights, (C,).
        """
        rows = None if weights is None else np.repeat(weights, np.diff(self.offsets))
        return np.bincount(self.labels, rows, minlength=len(self.classes))

    def pixels_of(self) -> np.ndarray | None:
        """Count the pixels of each class, int64 (C,); None without maps."""
        if self.pixels is None:
            return None
        return np.asarray(self.pixels.sum(0), np.int64).ravel()

    def images_with_any(self, labels: Sequence[int]) -> int:
        """Count the images that hold one of several classes or more."""
        image, label = self.pairs
        return len(np.unique(image[np.isin(label, labels)]))

    def largest(self, values: np.ndarray, empty: float) -> np.ndarray:
        """Return the largest value among the classes of each image.

        Args:
            values: One number a class, (C,).
            empty: What an image without a label gets.

        Returns:
            Float64 (n,).
        """
        result = np.full(len(self), empty, float)
        filled = np.diff(self.offsets) > 0
        if filled.any():
            starts = self.offsets[:-1][filled]
            result[filled] = np.maximum.reduceat(values[self.labels], starts)
        return result

    def cooccurrence(self) -> csr_matrix:
        """Count the images that hold both of two classes.

        Returns:
            Sparse, int64 (C, C), symmetric; the diagonal is the image count of a class.
            Of many classes only few meet, and all pairs of them would fill the memory.
        """
        image, label = self.pairs
        ones = np.ones(len(label), np.int64)
        shape = (len(self), len(self.classes))
        holds = csr_matrix((ones, (image, label)), shape=shape)
        return (holds.T @ holds).tocsr()

    def take(self, images: np.ndarray) -> LabelTable:
        """Return the table of the given images, in the given order."""
        size = np.diff(self.offsets)[images]
        first = np.repeat(self.offsets[:-1][images] - (np.cumsum(size) - size), size)
        labels = self.labels[first + np.arange(len(first))]
        pixels = None if self.pixels is None else self.pixels[images]
        return LabelTable(self.classes, labels, np.cumsum(np.r_[0, size]), pixels)

    @classmethod
    def joined(cls, tables: Sequence[LabelTable]) -> LabelTable:
        """Return the images of all tables, which have the same classes."""
        sizes = [np.diff(table.offsets) for table in tables]
        return cls(
            tables[0].classes,
            np.concatenate([table.labels for table in tables]),
            np.cumsum(np.concatenate([[0], *sizes])),
            joined_pixels([table.pixels for table in tables]),
        )


def _chunks(infos: Iterable[dict]) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield labels, ignore flags, corners and numbers of boxes, of some images each."""
    columns: tuple[list, ...] = ([], [], [], [])
    labels, ignored, corners, sizes = columns
    for info in infos:
        instances = info["instances"]
        # Numbers alone: records that stay alive make the garbage collector slow.
        labels += map(_label_of, instances)
        ignored += [instance.get("ignore_flag", 0) for instance in instances]
        corners += chain.from_iterable(map(_box_of, instances))
        sizes.append(len(instances))
        if len(sizes) == _CHUNK:
            yield tuple(map(np.array, columns))
            for column in columns:
                column.clear()
    yield tuple(map(np.array, columns))
