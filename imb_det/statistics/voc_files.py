"""What PASCAL VOC files say, and how their entries are judged; no mmdet import.

The data sets of this package judge with the same functions, so that numbers counted
from the files are the numbers of what is trained on.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from .dataset_access import USABLE_FAULTS, box_fault

__all__ = [
    "VOC_CORNERS",
    "labels_of_voc",
    "voc_corners",
    "voc_is_difficult",
    "voc_size",
]

#: Names of the four numbers of a PASCAL VOC box.
VOC_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def labels_of_voc(
    root: Path, split: str, classes: Sequence[str] | None
) -> tuple[tuple[str, ...], list[list[int]]]:
    """Read class names and the labels of each image of a PASCAL VOC split.

    Difficult boxes and boxes that this package's ``VOCDataset`` removes (without area,
    without a corner, wholly outside their image) are not among the labels. Where an
    XML gives no size, only a box left of or above the image is known to be outside.

    Args:
        root: Folder with ``Annotations`` and ``ImageSets/Main``.
        split: Name of a file in ``ImageSets/Main``, without ``.txt``; it holds one
            image a line.
        classes: Names in the wanted order; all found names, sorted, if None.

    Returns:
        Names, and one list of class indices an image.

    Raises:
        FileNotFoundError: The image list is missing, or an XML file that it names.
        ValueError: An XML file cannot be understood; names the file and the object.
    """
    list_file = root / "ImageSets" / "Main" / f"{split}.txt"
    # As mmengine reads lists: no line is stripped, and only "\n" ends one.
    lines = list_file.read_text(encoding="utf-8").split("\n")
    names_per_image = []
    for image_id in lines if lines[-1] else lines[:-1]:
        path = root / "Annotations" / f"{image_id}.xml"
        try:
            tree = ET.parse(path).getroot()
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{path} does not exist, but {list_file} lists it"
            ) from error
        except ET.ParseError as error:
            raise ValueError(
                f"{path}, listed in {list_file}, is not valid XML: {error}"
            ) from error
        width, height = voc_size(tree)
        if width <= 0 or height <= 0:
            width = height = math.inf
        found = []
        for index, obj in enumerate(tree.findall("object")):
            name = obj.findtext("name", "")
            if classes is not None and name not in classes:
                continue
            if box_fault(voc_corners(obj), width, height) not in USABLE_FAULTS:
                continue
            try:
                is_difficult = voc_is_difficult(obj)
            except ValueError as error:
                raise ValueError(f"{path}: object[{index}] {name}: {error}") from error
            if not is_difficult:
                found.append(name)
        names_per_image.append(found)
    if classes is None:
        classes = sorted({name for found in names_per_image for name in found})
    label = {name: index for index, name in enumerate(classes)}
    return tuple(classes), [[label[name] for name in f] for f in names_per_image]


def voc_size(root: ET.Element) -> tuple[float, float]:
    """Return the width and height that an XML gives, 0 where it has no number."""
    size = [_whole(root.findtext(f"size/{key}")) for key in ("width", "height")]
    width, height = (value if math.isfinite(value) else 0 for value in size)
    return width, height


def voc_corners(obj: ET.Element) -> list[float]:
    """Return the corners of an object as mmdet reads them.

    Returns:
        Whole numbers, counted from 0; NaN for a number that is not there.
    """
    # VOC counts from 1.
    return [_whole(obj.findtext(f"bndbox/{key}")) - 1 for key in VOC_CORNERS]


def voc_is_difficult(obj: ET.Element) -> bool:
    """Tell whether an object is marked difficult.

    Raises:
        ValueError: The mark is no whole number.
    """
    text = obj.findtext("difficult", "0")
    try:
        return bool(int(text))
    except ValueError:
        raise ValueError(f"`difficult` must be 0 or 1, got {text!r}") from None


def _whole(text: str | None) -> float:
    """Return a number as mmdet reads it, cut to a whole one; NaN if there is none."""
    try:
        value = float(text or "")
    except ValueError:
        return math.nan
    return int(value) if math.isfinite(value) else value
