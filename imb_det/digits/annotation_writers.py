"""Write one list of annotated images in COCO, LVIS v1 or PASCAL VOC form."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from imb_det.statistics.frequency_groups import frequency_groups

from .records import ImageRecord

__all__ = [
    "IMAGE_FOLDER",
    "coco_form",
    "frequency_letter",
    "lvis_form",
    "voc_form",
    "write_json",
    "write_lines",
]

IMAGE_FOLDER = "JPEGImages"


def frequency_letter(image_count: int) -> str:
    """Return the LVIS frequency group of a class.

    Args:
        image_count: Number of training images that hold the class.

    Returns:
        ``"r"`` up to 10 images, ``"c"`` up to 100, else ``"f"``.
    """
    (group,) = frequency_groups([image_count])
    return group[0]


def _annotations(records: Sequence[ImageRecord]) -> list[dict[str, Any]]:
    """Number all objects from 1, in image order."""
    pairs = (
        (image_id, obj)
        for image_id, record in enumerate(records, start=1)
        for obj in record.objects
    )
    return [
        {
            "id": annotation_id,
            "image_id": image_id,
            "category_id": obj.label + 1,
            "bbox": list(obj.bbox),
            "area": obj.area,
            "segmentation": obj.segmentation,
        }
        for annotation_id, (image_id, obj) in enumerate(pairs, start=1)
    ]


def coco_form(
    records: Sequence[ImageRecord], classes: Sequence[str], description: str
) -> dict[str, Any]:
    """Build the content of a COCO annotation file.

    Args:
        records: The images; image ids are 1, 2, ... in this order.
        classes: Class names; category ids are 1, 2, ... in this order.
        description: Text for the ``info`` block.

    Returns:
        The JSON content; ``file_name`` is relative to ``JPEGImages/``.
    """
    return {
        "info": {"description": description},
        "licenses": [],
        "images": [
            {
                "id": image_id,
                "file_name": f"{record.stem}.jpg",
                "width": record.width,
                "height": record.height,
            }
            for image_id, record in enumerate(records, start=1)
        ],
        "annotations": [{**ann, "iscrowd": 0} for ann in _annotations(records)],
        "categories": [
            {"id": index, "name": name} for index, name in enumerate(classes, start=1)
        ],
    }


def lvis_form(
    records: Sequence[ImageRecord],
    classes: Sequence[str],
    description: str,
    *,
    image_count: Sequence[int],
    instance_count: Sequence[int],
) -> dict[str, Any]:
    """Build the content of an LVIS v1 annotation file.

    Args:
        records: The images; image ids are 1, 2, ... in this order.
        classes: Class names; category ids are 1, 2, ... in this order.
        description: Text for the ``info`` block.
        image_count: Training images per class, also for the validation file.
        instance_count: Training boxes per class, also for the validation file.

    Returns:
        The JSON content. ``coco_url`` is the path below the data root, so readers
        that strip the COCO host and readers that keep the last two parts agree.
    """
    return {
        "info": {"description": description},
        "licenses": [],
        "images": [
            {
                "id": image_id,
                "coco_url": f"{IMAGE_FOLDER}/{record.stem}.jpg",
                "width": record.width,
                "height": record.height,
                "neg_category_ids": [label + 1 for label in record.neg_labels],
                "not_exhaustive_category_ids": [],
            }
            for image_id, record in enumerate(records, start=1)
        ],
        "annotations": _annotations(records),
        "categories": [
            {
                "id": index + 1,
                "name": name,
                "synset": f"{name}.n.01",
                "synonyms": [name],
                "def": "the handwritten digit {}, drawn in {}".format(*name.split("_")),
                "image_count": int(image_count[index]),
                "instance_count": int(instance_count[index]),
                "frequency": frequency_letter(image_count[index]),
            }
            for index, name in enumerate(classes)
        ],
    }


def voc_form(record: ImageRecord, classes: Sequence[str]) -> bytes:
    """Build the content of a PASCAL VOC annotation file.

    Coordinates count from 1. MMDetection subtracts 1 from all four numbers, so the
    box is written as ``(x + 1, y + 1, x + width + 1, y + height + 1)``: it is then
    read as exactly the corners of the COCO box.

    Args:
        record: The image.
        classes: Class names.

    Returns:
        The XML text.
    """
    root = ET.Element("annotation")
    ET.SubElement(root, "folder").text = IMAGE_FOLDER
    ET.SubElement(root, "filename").text = f"{record.stem}.jpg"
    size = ET.SubElement(root, "size")
    for key, value in (("width", record.width), ("height", record.height)):
        ET.SubElement(size, key).text = str(value)
    ET.SubElement(size, "depth").text = "3"
    ET.SubElement(root, "segmented").text = "0"
    for obj in record.objects:
        node = ET.SubElement(root, "object")
        ET.SubElement(node, "name").text = classes[obj.label]
        ET.SubElement(node, "pose").text = "Unspecified"
        ET.SubElement(node, "truncated").text = "0"
        ET.SubElement(node, "difficult").text = "0"
        x, y, width, height = obj.bbox
        corners = (x + 1, y + 1, x + width + 1, y + height + 1)
        box = ET.SubElement(node, "bndbox")
        for key, corner in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True):
            ET.SubElement(box, key).text = str(corner)
    ET.indent(root)
    return ET.tostring(root) + b"\n"


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON with sorted keys and no spaces, so equal content is equal bytes.

    Args:
        path: File to write.
        content: What to write.
    """
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    path.write_text(text + "\n", encoding="utf-8")


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write one text a line.

    Args:
        path: File to write.
        lines: The lines, without line ends.
    """
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
