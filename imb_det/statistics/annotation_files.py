"""Class labels of every image, read from annotation files."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .dataset_access import boxes_without_area

__all__ = ["labels_of_coco", "labels_of_voc"]


def labels_of_coco(
    ann_file: Path, classes: Sequence[str] | None
) -> tuple[tuple[str, ...], list[list[int]]]:
    """Read class names and the labels of each image from a COCO file.

    Crowds, ignored boxes and boxes that mmdet's ``CocoDataset`` leaves out (outside the
    image, or smaller than a pixel) are not among the labels.

    Args:
        ann_file: JSON with ``images``, ``annotations`` and ``categories``.
        classes: Names in the wanted order; all categories by id if None.

    Returns:
        Names, and one list of class indices an image.

    Raises:
        ValueError: A class that the file does not have, or a repeated name.
    """
    content = json.loads(ann_file.read_text())
    categories = sorted(content["categories"], key=lambda category: category["id"])
    ids = {category["name"]: category["id"] for category in categories}
    if len(ids) != len(categories):
        raise ValueError(f"{ann_file}: two categories share one name")
    names = tuple(ids) if classes is None else tuple(classes)
    if unknown := [name for name in names if name not in ids]:
        raise ValueError(f"{ann_file} has no category {unknown}; it has {list(ids)}")
    label = {ids[name]: index for index, name in enumerate(names)}
    size = {
        image["id"]: (image["width"], image["height"]) for image in content["images"]
    }
    labels: dict[Any, list[int]] = {image_id: [] for image_id in size}
    for ann in content["annotations"]:
        if ann.get("iscrowd") or ann.get("ignore") or ann["category_id"] not in label:
            continue
        x, y, w, h = ann["bbox"]
        width, height = size[ann["image_id"]]
        visible = (max(x, 0), max(y, 0), min(x + w, width), min(y + h, height))
        if w < 1 or h < 1 or ann["area"] <= 0 or boxes_without_area(visible):
            continue
        labels[ann["image_id"]].append(label[ann["category_id"]])
    return names, list(labels.values())


def labels_of_voc(
    root: Path, split: str, classes: Sequence[str] | None
) -> tuple[tuple[str, ...], list[list[int]]]:
    """Read class names and the labels of each image of a PASCAL VOC split.

    Difficult boxes, boxes without area and boxes wholly outside their image are not
    among the labels.

    Args:
        root: Folder with ``Annotations`` and ``ImageSets/Main``.
        split: Name of a file in ``ImageSets/Main``, without ``.txt``.
        classes: Names in the wanted order; all found names, sorted, if None.

    Returns:
        Names, and one list of class indices an image.
    """
    ids = (root / "ImageSets" / "Main" / f"{split}.txt").read_text().split()
    names_per_image = []
    for image_id in ids:
        tree = ET.parse(root / "Annotations" / f"{image_id}.xml")
        width = float(tree.findtext("size/width") or "inf")
        height = float(tree.findtext("size/height") or "inf")
        found = []
        for obj in tree.iter("object"):
            x1, y1, x2, y2 = (
                float(obj.findtext(f"bndbox/{key}", "nan")) - 1
                for key in ("xmin", "ymin", "xmax", "ymax")
            )
            visible = (max(x1, 0), max(y1, 0), min(x2, width), min(y2, height))
            empty = boxes_without_area((x1, y1, x2, y2)) or boxes_without_area(visible)
            if not empty and not int(obj.findtext("difficult", "0")):
                found.append(obj.findtext("name", ""))
        names_per_image.append(found)
    if classes is None:
        classes = sorted({name for found in names_per_image for name in found})
    label = {name: index for index, name in enumerate(classes)}
    return tuple(classes), [
        [label[name] for name in found if name in label] for found in names_per_image
    ]
