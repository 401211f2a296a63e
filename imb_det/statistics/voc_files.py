"""What PASCAL VOC files say, and how their entries are judged; no mmdet import.

Data set and counts read with the same functions, so that numbers counted from the files
are the numbers of what is trained on.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from imb_det.core.text import and_more

from .dataset_access import USABLE_FAULTS, box_fault
from .image_header import check_regular, size_from_image

__all__ = [
    "VocObject",
    "labels_of_voc",
    "labels_of_voc_images",
    "parse_voc_xml",
    "voc_image_ids",
    "voc_objects",
    "voc_size",
]

#: Names of the four numbers of a PASCAL VOC box.
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


class VocObject(NamedTuple):
    """An object of an XML file, judged.

    Args:
        place: Which it is among the objects, from 0.
        name: Its class.
        bbox: x1, y1, x2, y2 as mmdet reads them: whole numbers, counted from 0; NaN
            for a number that is not there.
        written: The box as the file has it.
        fault: ``unknown_class``, or what
            :func:`~imb_det.statistics.dataset_access.box_fault` says.
        is_difficult: Whether it is marked so; False where it is of no use anyway.
    """

    place: int
    name: str
    bbox: list[float]
    written: str
    fault: str | None
    is_difficult: bool

    @property
    def is_usable(self) -> bool:
        """Whether it is of a known class and its box can be trained on."""
        return self.fault in USABLE_FAULTS


def labels_of_voc(
    root: Path, split: str, classes: Sequence[str] | None
) -> tuple[tuple[str, ...], list[list[int]]]:
    """Read class names and the labels of each image of a PASCAL VOC split.

    Difficult boxes and boxes that this package's ``VOCDataset`` removes (without area,
    without a corner, wholly outside their image) are not among the labels. Where an
    XML gives no size, the image in ``JPEGImages`` does.

    Args:
        root: Folder with ``Annotations`` and ``ImageSets/Main``.
        split: Name of a file in ``ImageSets/Main``, without ``.txt``; it holds one
            image a line.
        classes: Names in the wanted order; all found names, sorted, if None.

    Returns:
        Names, and one list of class indices an image.

    Raises:
        FileNotFoundError: The image list is missing, or an XML file that it names.
        OSError: The image list is no regular file.
        ValueError: A file cannot be understood; names it and the entry.
    """
    list_file = root / "ImageSets" / "Main" / f"{split}.txt"
    check_regular(list_file)
    image_ids = voc_image_ids(list_file.read_bytes(), str(list_file))
    return labels_of_voc_images(root, image_ids, str(list_file), classes)


def labels_of_voc_images(
    root: Path, image_ids: Iterable[str], source: str, classes: Sequence[str] | None
) -> tuple[tuple[str, ...], list[list[int]]]:
    """Return what :func:`labels_of_voc` does, of images that are named.

    Args:
        root: As there.
        image_ids: Names of the images.
        source: What lists them, for messages.
        classes: As there.

    Raises:
        OSError, ValueError: As there.
    """
    names_per_image = []
    for image_id in image_ids:
        path = str(root / "Annotations" / f"{image_id}.xml")
        tree = parse_voc_xml(path, path, source)
        size = voc_size(tree)
        if min(size) <= 0:
            size = size_from_image(str(root / "JPEGImages" / f"{image_id}.jpg"), path)
        names_per_image.append(
            [
                found.name
                for found in voc_objects(tree, path, size, classes)
                if found.is_usable and not found.is_difficult
            ]
        )
    if classes is None:
        classes = sorted({name for found in names_per_image for name in found})
    label = {name: index for index, name in enumerate(classes)}
    return tuple(classes), [[label[name] for name in f] for f in names_per_image]


def voc_image_ids(content: bytes, source: str) -> list[str]:
    r"""Read an image list: one name a line, which ends with "\n" or "\r\n".

    Lines without anything but blanks are passed over, and so is a byte order mark.

    Args:
        content: Of the file.
        source: The file, for the message.

    Raises:
        ValueError: The list is empty or no UTF-8, has an address, or names an image
            twice; names the lines.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = content[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{source}: line {number} is not UTF-8 ({error.reason}); save it as UTF-8"
        ) from error
    lines: dict[str, list[int]] = defaultdict(list)
    for number, line in enumerate(text.split("\n"), 1):
        if "://" in line:
            raise ValueError(
                f"{source}: line {number} is the address {line.strip()!r}, but must be "
                "the name of an image in `data_root`, without `.jpg`"
            )
        if line.strip():
            lines[line.rstrip("\r")].append(number)
    if not lines:
        raise ValueError(f"{source}: the split is empty, it lists no image")
    if twice := [f"{name!r}: {own}" for name, own in lines.items() if len(own) > 1]:
        raise ValueError(
            f"{source} lists images more than once: {and_more(twice, quoted=False)} "
            "(name: lines). Remove the repeats; to show images more often, use "
            "`RepeatDataset`, `ClassBalancedDataset` or a sampler"
        )
    return list(lines)


def parse_voc_xml(path: str, name: str, list_file: str) -> ET.Element:
    """Parse an annotation file.

    Args:
        path: Where it can be read.
        name: What it is called, for the message; like the next.
        list_file: The image list that names it.

    Returns:
        Root of the file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no file, no XML, or no annotation of VOC.
    """
    where = f"{name}, listed in {list_file},"
    try:
        check_regular(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{name} does not exist, but {list_file} lists it{_why_missing(name)}"
        ) from error
    except (OSError, ValueError) as error:
        raise ValueError(f"{where} cannot be read: {error}") from error
    try:
        root = ET.parse(path).getroot()
    except OSError as error:
        raise ValueError(f"{where} cannot be read: {error}") from error
    except (SyntaxError, ValueError, LookupError) as error:  # what the parser raises
        raise ValueError(f"{where} is not valid XML: {error}") from error
    if root.find("object") is None:
        _check_is_annotation(root, where)
    return root


def _why_missing(name: str) -> str:
    """Tell what in the line of an image list may be why its file is missing."""
    line = Path(name).stem
    if line.split()[1:] in (["0"], ["1"], ["-1"]):
        return (
            "; lists of single classes, with a flag behind each name, are no lists of "
            "images: use `train.txt`, `val.txt` or `trainval.txt`"
        )
    return "; the line has blanks around the name" * (line != line.strip())


def _check_is_annotation(root: ET.Element, where: str) -> None:
    """Refuse a file whose objects, if any, are not where they are looked for."""
    others = [node.tag for node in root.iter() if node is not root]
    boxes = [tag for tag in others if _plain(tag) in ("object", "bndbox")]
    if boxes:
        raise ValueError(
            f"{where} has no <object> below its root <{root.tag}>, but <{boxes[0]}> "
            "elsewhere, where it would be passed over: write <annotation><object>"
        )
    if _plain(root.tag) != "annotation" and root.find("size") is None:
        raise ValueError(
            f"{where} is no PASCAL VOC annotation: its root is <{root.tag}>, not "
            "<annotation>, without <object> and <size>"
        )


def _plain(tag: str) -> str:
    """Return a tag in small letters, without a namespace."""
    return str(tag).rpartition("}")[2].casefold()


def voc_objects(
    root: ET.Element,
    source: str,
    size: tuple[int, int],
    classes: Collection[str] | None,
) -> Iterator[VocObject]:
    """Read and judge the objects of an annotation file.

    Args:
        root: Of the file.
        source: The file, for the message.
        size: Width and height of the image, in pixels.
        classes: Names that are wanted; all if None.

    Yields:
        Every object.

    Raises:
        ValueError: An object has no name, or its mark ``difficult`` is no number;
            names the file and the object.
    """
    for index, node in enumerate(root.findall("object")):
        name = node.findtext("name", "")
        where = f"{source}: object[{index}]"
        if not name.strip():
            raise ValueError(f"{where} has no <name>, so that its class is not known")
        # VOC counts from 1.
        bbox = [_whole(node.findtext(f"bndbox/{key}")) - 1 for key in _CORNERS]
        written = [(node.findtext(f"bndbox/{k}") or "").strip() for k in _CORNERS]
        box = f"({', '.join(text or '?' for text in written)})"
        is_wanted = classes is None or name in classes
        fault = box_fault(bbox, *size) if is_wanted else "unknown_class"
        is_difficult = False
        if fault in USABLE_FAULTS:
            mark = node.findtext("difficult", "0")
            try:
                is_difficult = bool(int(mark))
            except ValueError:
                raise ValueError(
                    f"{where} {name}: `difficult` must be 0 or 1, got {mark!r}"
                ) from None
        yield VocObject(index, name, bbox, box, fault, is_difficult)


def voc_size(root: ET.Element) -> tuple[int, int]:
    """Return the width and height that an XML gives, 0 where it has no number."""
    size = [_whole(root.findtext(f"size/{key}")) for key in ("width", "height")]
    width, height = (int(value) if math.isfinite(value) else 0 for value in size)
    return width, height


def _whole(text: str | None) -> float:
    """Return a number as mmdet reads it, cut to a whole one; NaN if there is none."""
    try:
        value = float(text or "")
    except ValueError:
        return math.nan
    return int(value) if math.isfinite(value) else value
