"""The one place that counts annotations."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from imb_det.core.shown_text import write_text

from .coco_classes import spellings
from .coco_json import parsed
from .count_files import CountsFromFiles
from .dataset_access import image_of_index
from .frequency_groups import DEFAULT_LIMITS, GroupLimits
from .label_cache import label_table
from .label_table import LabelTable
from .segments import thing_classes

__all__ = ["ClassStats"]

_JSON_KEYS = ("classes", "image_count", "instance_count", "num_images")
#: What only sets with stuff or maps have.
_PIXEL_KEYS = ("pixel_count", "thing_classes", "thing_images")


@dataclass(frozen=True, eq=False)
class ClassStats(CountsFromFiles):
    """Images and instances of each class in a training set, and pixels of maps.

    Ignored, crowd and difficult boxes do not count, nor do boxes without area: none
    of them is a positive example. A class without any instance is legal. In a panoptic
    set a segment of stuff is an instance, in a semantic one a class of an image.

    Args:
        classes: Names in the order of ``metainfo['classes']``, length C, unique.
        image_count: Images with at least one counted box of the class; int, (C,).
        instance_count: Counted boxes of the class; int, (C,).
        num_images: All images of the set, those without boxes included.
        group_limits: Which classes are rare, common and frequent. Default: up to 10
            images, up to 100, and more.
        pixel_count: Pixels of each class in the files, before any transform; int, (C,).
            Default: None, for sets of boxes.
        thing_classes: Those with boxes, where others are stuff. Default: none, where
            there is no such difference.
        thing_images: Images with a thing of any class. Default: None.

    Raises:
        ValueError: Shapes, signs or totals that contradict each other.
    """

    classes: tuple[str, ...]
    image_count: np.ndarray
    instance_count: np.ndarray
    num_images: int
    group_limits: GroupLimits = DEFAULT_LIMITS
    pixel_count: np.ndarray | None = None
    thing_classes: tuple[str, ...] = ()
    thing_images: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(map(str, self.classes)))
        object.__setattr__(self, "thing_classes", tuple(map(str, self.thing_classes)))
        object.__setattr__(self, "num_images", int(self.num_images))
        for name in ("image_count", "instance_count", "pixel_count"):
            if getattr(self, name) is None:
                continue
            counts = np.asarray(getattr(self, name))
            if counts.shape != (len(self.classes),):
                raise ValueError(
                    f"`{name}` has shape {counts.shape}, but there are "
                    f"{len(self.classes)} classes: one number a class is needed"
                )
            if not np.array_equal(counts, counts.astype(np.int64)):
                raise ValueError(f"`{name}` must hold whole numbers, got {counts}")
            counts = counts.astype(np.int64)
            counts.setflags(write=False)
            object.__setattr__(self, name, counts)
        if len(set(self.classes)) != len(self.classes):
            twice = sorted({c for c in self.classes if self.classes.count(c) > 1})
            raise ValueError(f"class names must be unique, found twice: {twice}")
        if foreign := sorted(set(self.thing_classes) - set(self.classes)):
            raise ValueError(
                f"`thing_classes` must be among the classes, not {foreign}"
            )
        if self.pixel_count is not None and (self.pixel_count < 0).any():
            raise ValueError(f"`pixel_count` must be >= 0, got {self.pixel_count}")
        bad = (
            (self.image_count < 0)
            | (self.image_count > self.instance_count)
            | (self.image_count > self.num_images)
            | ((self.image_count == 0) != (self.instance_count == 0))
        )
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise ValueError(
                "counts must satisfy 0 <= image_count <= min(instance_count, "
                f"num_images); class '{self.classes[row]}' has image_count "
                f"{self.image_count[row]}, instance_count {self.instance_count[row]}, "
                f"num_images {self.num_images}"
            )

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ClassStats)
            and self.same_counts(other)
            and self.group_limits == other.group_limits
        )

    def same_counts(self, other: ClassStats) -> bool:
        """Tell whether classes and counts are equal, whatever the limits of groups."""
        return (
            self.classes == other.classes
            and self.num_images == other.num_images
            and np.array_equal(self.image_count, other.image_count)
            and np.array_equal(self.instance_count, other.instance_count)
            and self._of_pixels() == other._of_pixels()
        )

    def with_limits(self, group_limits: GroupLimits) -> ClassStats:
        """Return the same counts with other limits of groups."""
        return replace(self, group_limits=group_limits)

    def groups(self) -> dict[str, np.ndarray]:
        """Return the indices of rare, common and frequent classes, int64, ascending.

        By the name of the group, in this order; a group without class is absent.
        """
        return self.group_limits.groups(self.image_count)

    def describe_groups(self) -> str:
        """Return how many classes are rare, common and frequent, and what that means.

        Example:
            >>> ClassStats(("cat", "dog"), [3, 200], [4, 400], 201).describe_groups()
            'rare (<= 10 images) 1, common (11 to 100) 0, frequent (> 100) 1'
        """
        groups = self.groups()
        meanings = self.group_limits.describe(self.image_count)
        return ", ".join(
            f"{name} ({meaning}) {len(groups.get(name, ()))}"
            for name, meaning in meanings.items()
        )

    @property
    def num_classes(self) -> int:
        """Number of classes C."""
        return len(self.classes)

    @property
    def image_frequency(self) -> np.ndarray:
        """Share of images that hold the class, float64 (C,), in [0, 1]."""
        return self.image_count / max(self.num_images, 1)

    @property
    def class_prior(self) -> np.ndarray:
        """Share of instances that belong to the class, float64 (C,), sum 1."""
        return self.instance_count / max(int(self.instance_count.sum()), 1)

    def check_classes(self, classes: Sequence[str]) -> None:
        """Refuse a model or evaluator whose classes are not these, in this order.

        A name that is only spelled differently, see
        :func:`~imb_det.statistics.coco_classes.spellings`, is the same class.

        Raises:
            ValueError: Names both lists and the first difference.
        """
        if tuple(classes) == self.classes or spellings(classes, self.classes):
            return
        pairs = enumerate(zip(classes, self.classes, strict=False))
        first = next(
            (
                f"first difference at {i}: '{a}' against '{b}'"
                for i, (a, b) in pairs
                if a != b
            ),
            "one list is the beginning of the other",
        )
        raise ValueError(
            f"the class counts are for {self.num_classes} classes {self.classes}, but "
            f"{len(classes)} classes {tuple(classes)} are in use ({first})"
        )

    @classmethod
    def from_labels(
        cls, classes: Sequence[str], labels_per_image: Iterable[Sequence[int]]
    ) -> ClassStats:
        """Count from one sequence of class indices (0 to C - 1) an image."""
        return cls.from_table(LabelTable.from_labels(classes, labels_per_image))

    @classmethod
    def from_table(
        cls,
        table: LabelTable,
        images: np.ndarray | None = None,
        things: Sequence[str] = (),
    ) -> ClassStats:
        """Count a table of the classes of every image.

        Args:
            table: Classes of each image.
            images: Those that count, in any order, once each however often they are
                listed; int (k,). Default: None, all of them.
            things: ``thing_classes``. Default: none.
        """
        if images is not None:
            used = np.unique(images)
            table = table if len(used) == len(table) else table.take(used)
        counts = table.images_with(), table.instances_of()
        stats = cls(table.classes, *counts, len(table), pixel_count=table.pixels_of())
        if not things:
            return stats
        labels = [stats.classes.index(name) for name in things]
        number = table.images_with_any(labels)
        return replace(stats, thing_classes=tuple(things), thing_images=number)

    @classmethod
    def from_dataset(cls, dataset: Any) -> ClassStats:
        """Count the images of a built mmengine data set, after its own filtering.

        Wrappers are looked through: an image counts once, however often a wrapper
        repeats it. Images that a subset leaves out do not count. Where a pipeline hides
        the labels (``LoadEmptyAnnotations``, for the unlabelled part of a
        semi-supervised training), its images count as such without boxes. Large sets
        are read once and then found again on disk, by their content
        (:func:`~imb_det.statistics.label_cache.label_table`). Stuff of panoptic sets
        and the classes of semantic maps count too, and so do their pixels.

        Args:
            dataset: Data set as :meth:`LabelTable.from_dataset` takes.

        Raises:
            ValueError: No class names, or parts that disagree on them.
        """
        table = label_table(dataset)
        return cls.from_table(table, image_of_index(dataset), thing_classes(dataset))

    def to_dict(self) -> dict:
        """Return plain lists and numbers, as written to JSON and checkpoints."""
        return {
            "classes": list(self.classes),
            "image_count": self.image_count.tolist(),
            "instance_count": self.instance_count.tolist(),
            "num_images": self.num_images,
            "group_limits": self.group_limits.to_dict(),
            **self._of_pixels(),
        }

    def _of_pixels(self) -> dict[str, Any]:
        """Return what only sets with stuff or maps have, in plain form."""
        pixels = None if self.pixel_count is None else self.pixel_count.tolist()
        found = (pixels, list(self.thing_classes), self.thing_images)
        pairs = zip(_PIXEL_KEYS, found, strict=True)
        return {key: value for key, value in pairs if value not in (None, [])}

    @classmethod
    def from_dict(cls, content: dict) -> ClassStats:
        """Build from :meth:`to_dict`'s form; older ones have no limits of groups.

        Raises:
            ValueError: A key is missing.
        """
        if missing := [key for key in _JSON_KEYS if key not in content]:
            raise ValueError(
                f"class statistics need the keys {_JSON_KEYS}; missing: {missing}"
            )
        limits = GroupLimits.from_dict(content.get("group_limits", {}))
        known = {
            key: content[key] for key in (*_JSON_KEYS, *_PIXEL_KEYS) if key in content
        }
        return cls(**known, group_limits=limits)

    def to_json(self, path: str | Path) -> None:
        """Write to a JSON file, the parent folder included."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(self.to_dict(), indent=1) + "\n")

    @classmethod
    def from_json(cls, path: str | Path) -> ClassStats:
        """Read :meth:`to_json`'s file.

        Raises:
            ValueError: It is malformed; names it.
        """
        content = parsed(Path(path).read_bytes(), str(path))
        try:
            return cls.from_dict(content)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error
