"""Counts of classes from annotation files, without a data set."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .coco_files import labels_of_coco
from .panoptic_files import is_panoptic_file, table_of_panoptic
from .voc_files import labels_of_voc

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["CountsFromFiles"]

#: What a file of ``ClassStats.to_json`` starts with.
_OWN_KEYS = rb'\s*\{\s*"(classes|image_count|instance_count|num_images)"\s*:'


class CountsFromFiles:
    """Mixin of :class:`~.class_stats.ClassStats`: what reads annotation files."""

    # What that class defines.
    check_classes: Callable[[Sequence[str]], None]
    from_labels: Callable[..., Any]
    from_table: Callable[..., Any]
    from_json: Callable[[str | Path], Any]

    @classmethod
    def from_coco(
        cls,
        ann_file: str | Path,
        classes: Sequence[str] | None = None,
        with_masks: bool = False,
    ) -> Self:
        """Count a COCO annotation file; crowds and boxes outside do not count.

        Args:
            ann_file: JSON with ``images``, ``annotations`` and ``categories``.
            classes: Names in the wanted order; all categories by id if None.
            with_masks: Whether the training uses masks, so that an object whose mask
                shows nothing does not count. Default: False.

        Raises:
            ValueError: A class that the file does not have, or a malformed file; names
                all entries that are malformed.
        """
        labels = labels_of_coco(Path(ann_file), classes, with_masks=with_masks)
        return cls.from_labels(*labels)

    @classmethod
    def from_lvis(
        cls,
        ann_file: str | Path,
        classes: Sequence[str] | None = None,
        with_masks: bool = False,
    ) -> Self:
        """Count an LVIS annotation file, v0.5 or v1, as LVIS itself does.

        Every annotation counts, those too that mmdet leaves out because they are
        smaller than a pixel: on the training file the counts are the
        ``image_count`` and ``instance_count`` that its categories state.

        Args:
            ann_file: JSON with ``images``, ``annotations`` and ``categories``.
            classes: Names in the wanted order; all categories by id if None.
            with_masks: As for :meth:`from_coco`.

        Raises:
            ValueError: As for :meth:`from_coco`.
        """
        return cls.from_labels(
            *labels_of_coco(Path(ann_file), classes, True, with_masks)
        )

    @classmethod
    def from_panoptic(
        cls, ann_file: str | Path, classes: Sequence[str] | None = None
    ) -> Self:
        """Count a panoptic annotation file: things, stuff and pixels.

        Args:
            ann_file: JSON whose annotations have ``segments_info``.
            classes: Names in the wanted order; None for all, things first, by id.

        Raises:
            ValueError: A class that the file does not have, or a malformed file.
        """
        table, things = table_of_panoptic(Path(ann_file), classes)
        stats: Self = cls.from_table(table, None, things)
        return stats

    @classmethod
    def from_file(
        cls,
        path: str | Path,
        classes: Sequence[str] | None = None,
        with_masks: bool = False,
    ) -> Self:
        """Read what ``to_json`` wrote, or count a COCO, LVIS or panoptic file.

        Args:
            path: The file; its content tells of what kind it is.
            classes: Names in the wanted order; all categories by id if None.
            with_masks: As for :meth:`from_coco`.

        Raises:
            FileNotFoundError: No such file.
            ValueError: What is wrong with it, see the other constructors; counts for
                other classes.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"there is no file '{path}'")
        with path.open("rb") as file:
            is_own = re.match(_OWN_KEYS, file.read(200))
        if not is_own and is_panoptic_file(path):
            return cls.from_panoptic(path, classes)
        if not is_own:
            return cls.from_labels(*labels_of_coco(path, classes, None, with_masks))
        stats = cls.from_json(path)
        if classes is not None:
            stats.check_classes(classes)
        return stats

    @classmethod
    def from_voc(
        cls,
        root: str | Path,
        split: str = "trainval",
        classes: Sequence[str] | None = None,
    ) -> Self:
        """Count a split of a PASCAL VOC folder; difficult boxes do not count.

        Args:
            root: Folder with ``Annotations`` and ``ImageSets/Main``.
            split: Name of a file in ``ImageSets/Main``, without ``.txt``.
            classes: Names in the wanted order; all found names, sorted, if None.
        """
        return cls.from_labels(*labels_of_voc(Path(root), split, classes))
