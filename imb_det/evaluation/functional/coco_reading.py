"""Annotation files of COCO and LVIS, numbered as ground truth is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imb_det.statistics.coco_classes import category_ids
from imb_det.statistics.coco_content import CocoContent

__all__ = ["Source", "image_entry", "read_coco", "read_content"]

#: An annotation file: its path, what it holds, or what has been read of it.
Source = str | Path | Mapping[str, Any] | CocoContent


def read_content(source: Source) -> CocoContent:
    """Read an annotation file, unless it has been read."""
    if isinstance(source, CocoContent):
        return source
    if isinstance(source, Mapping):
        return CocoContent(source, "the annotation file")
    return CocoContent.read(source)


def read_coco(
    file: CocoContent,
    classes: Sequence[str] | None,
    flags: Sequence[str],
    by_place: bool = False,
) -> tuple[tuple[str, ...], tuple[Any, ...], list[dict], list[dict]]:
    """Number the entries of a COCO file; returns the fields of ``GroundTruth``.

    Args:
        file: The file.
        classes: Names in the order of the labels; every category if None.
        flags: Keys of annotations that say that they are nothing to find.
        by_place: See :func:`~imb_det.statistics.coco_classes.category_ids`.
    """
    if classes is None:
        classes = [category["name"] for category in file.categories]
    ids = category_ids(file.content, classes, file.source, by_place)
    label_of = {category: label for label, category in enumerate(ids)}
    labels = [label_of.get(category["id"], -1) for category in file.categories]
    label = np.array([*labels, -1])[file.category_rows]
    by_id = sorted(range(len(file.images)), key=lambda row: file.images[row]["id"])
    new_row = np.empty(len(by_id) + 1, np.int64)
    new_row[by_id] = np.arange(len(by_id))
    rows = new_row[file.image_rows]
    areas = file.areas.copy()
    bad = ~(areas < np.inf)  # as `bad_area` among the kinds
    areas[bad] = file.boxes[bad, 2:].prod(1)
    annotations: list[dict[str, Any]] = []
    for index in np.flatnonzero((label >= 0) & file.are("is_judged")).tolist():
        ann = file.annotations[index]
        entry = {
            "id": len(annotations) + 1,
            "bbox": ann["bbox"],
            "area": ann["area"] if not bad[index] else float(areas[index]),
            "iscrowd": 0,
        }
        if ann.get("segmentation"):  # an empty outline is no mask
            entry["segmentation"] = ann["segmentation"]
        entry.update({flag: int(ann.get(flag) or 0) for flag in flags})
        entry["image_id"] = int(rows[index])
        entry["category_id"] = int(label[index])
        annotations.append(entry)
    images = [file.images[row] for row in by_id]
    sizes = [image_entry(row, image) for row, image in enumerate(images)]
    image_ids = tuple(image["id"] for image in images)
    return tuple(classes), image_ids, sizes, annotations


def image_entry(row: int, image: Mapping[str, Any]) -> dict[str, int]:
    """Return ``id``, ``height`` and ``width`` of an image, 0 where one is not known.

    Args:
        row: Its number.
        image: Its entry in a COCO file, or its record in a data set.
    """
    sides = {key: int(image.get(key) or 0) for key in ("height", "width")}
    return {"id": row, **sides}
