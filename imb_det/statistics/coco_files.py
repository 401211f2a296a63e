"""What COCO annotation files say, and how their entries are judged; no mmdet import.

The data sets of this package judge with the same functions, so that numbers counted
from the files are the numbers of what is trained on.
"""

from __future__ import annotations

import json
import math
import warnings
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from imb_det.core.text import and_more

from .dataset_access import USABLE_FAULTS, box_fault

__all__ = [
    "category_ids",
    "check_ids",
    "coco_fault",
    "is_federated",
    "labels_of_coco",
    "spellings",
]


def labels_of_coco(
    ann_file: Path, classes: Sequence[str] | None, every_box: bool | None = False
) -> tuple[tuple[str, ...], list[list[int]]]:
    """Read class names and the labels of each image from a COCO or LVIS file.

    Crowds, ignored boxes and boxes that mmdet's ``CocoDataset`` leaves out (outside the
    image, or smaller than a pixel) are not among the labels.

    Args:
        ann_file: JSON with ``images``, ``annotations`` and ``categories``.
        classes: Names in the wanted order; all categories by id if None.
        every_box: Whether boxes that mmdet leaves out are among the labels as well,
            unjudged; None for LVIS files alone, whose own counts have them. Default:
            False.

    Returns:
        Names, and one list of class indices an image.

    Raises:
        ValueError: A class that the file does not have, a repeated name or image id,
            or an entry that cannot be understood; names the file and the entry.
    """
    try:
        content = json.loads(ann_file.read_text(encoding="utf-8"))
        if every_box is None:
            every_box = is_federated(content)
        return _labels_of_coco(ann_file, content, classes, every_box)
    except json.JSONDecodeError as error:
        raise ValueError(f"{ann_file} is not valid JSON: {error}") from error
    except KeyError as error:
        raise ValueError(f"{ann_file}: an entry lacks the key {error}") from error


def _labels_of_coco(
    ann_file: Path,
    content: Mapping[str, Any],
    classes: Sequence[str] | None,
    every_box: bool,
) -> tuple[tuple[str, ...], list[list[int]]]:
    check_ids(content, ann_file)
    categories = sorted(content["categories"], key=lambda category: category["id"])
    ids = {category["name"]: category["id"] for category in categories}
    if twice := _shared((c["name"], c["id"]) for c in categories):
        raise ValueError(f"{ann_file}: categories share a name: {twice} (name: ids)")
    names = tuple(ids) if classes is None else tuple(classes)
    # mmdet's data sets of LVIS number labels by place, all others by name.
    in_file = _respelled(names, list(ids), ann_file) if every_box else names
    if unknown := [name for name in in_file if name not in ids]:
        raise ValueError(f"{ann_file} has no category {unknown}; it has {list(ids)}")
    label = {ids[name]: index for index, name in enumerate(in_file)}
    defined = set(ids.values())
    images = {image["id"]: image for image in content["images"]}
    labels: dict[Any, list[int]] = {image_id: [] for image_id in images}
    for ann in content["annotations"]:
        image_id, category = ann["image_id"], ann["category_id"]
        where = f"{ann_file}: annotation {ann.get('id', '?')} (image {image_id!r})"
        if category not in defined:
            raise ValueError(f"{where}: the file has no category of id {category!r}")
        if image_id not in images:
            raise ValueError(f"{where}: the file has no image of this id")
        if ann.get("iscrowd") or ann.get("ignore") or category not in label:
            continue
        if every_box or _is_usable(ann, images[image_id], ann_file, where):
            labels[image_id].append(label[category])
    return names, list(labels.values())


def _is_usable(
    ann: Mapping[str, Any], image: Mapping[str, Any], ann_file: Path, where: str
) -> bool:
    """Judge the box of an annotation.

    Raises:
        ValueError: Its box or the size of its image is no number.
    """
    size: list[Any] = [image.get(key) for key in ("width", "height")]
    if not all(_is_number(side) and side > 0 for side in size):
        raise ValueError(
            f"{ann_file}: image {image['id']} needs a width and a height, two "
            f"numbers > 0, got {size}"
        )
    try:
        return coco_fault(ann, *size) in USABLE_FAULTS
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def coco_fault(ann: Mapping[str, Any], width: float, height: float) -> str | None:
    """Judge the box of a COCO annotation; boxes that mmdet leaves out are faults too.

    Args:
        ann: Annotation; None in ``bbox`` stands for a number that is not known.
        width: Width of the image.
        height: Height of the image.

    Returns:
        Kind of finding, None for a sound box: one of
        :func:`~imb_det.statistics.dataset_access.box_fault`, ``below_pixel`` or
        ``no_mask_area``. Only with ``over_border`` can a box be trained on.

    Raises:
        ValueError: ``bbox`` or ``area`` is absent or of another kind.
    """
    bbox, area = ann.get("bbox"), ann.get("area")
    is_box = isinstance(bbox, (list, tuple)) and len(bbox) == 4
    if not is_box or not all(v is None or _is_number(v) for v in bbox or ()):
        raise ValueError(f"`bbox` must be four numbers (x, y, w, h), got {bbox!r}")
    if not _is_number(area):
        raise ValueError(f"`area` must be a number, got {area!r}")
    x, y, w, h = (math.nan if value is None else value for value in bbox or ())
    fault = box_fault((x, y, x + w, y + h), width, height)
    if fault not in USABLE_FAULTS:
        return fault
    if w < 1 or h < 1:
        return "below_pixel"
    return "no_mask_area" if float(area or 0) <= 0 else fault


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def check_ids(content: Mapping[str, Any], source: Any) -> None:
    """Refuse images, annotations or categories that share an id.

    Readers keep only the last entry of an id, and take it twice where they look
    annotations up by their ids.

    Args:
        content: Content of a COCO file.
        source: The file, for the message.

    Raises:
        ValueError: Names the ids, and the entries that share them.
    """
    for kind, name in (
        ("images", "file_name"),
        ("categories", "name"),
        ("annotations", "image_id"),
    ):
        entries = [entry for entry in content.get(kind) or () if "id" in entry]
        if len({entry["id"] for entry in entries}) == len(entries):
            continue
        # LVIS v1 has the address of an image in place of its name.
        twice = _shared((e["id"], e.get(name, e.get("coco_url"))) for e in entries)
        raise ValueError(
            f"{source}: several {kind} share one id, so that only the last of them "
            f"would be used: {twice} (id: {name})"
        )


def is_federated(content: Mapping[str, Any]) -> bool:
    """Tell an annotation file of LVIS from one of COCO."""
    return any("neg_category_ids" in image for image in content.get("images", ())[:1])


def spellings(classes: Sequence[str], theirs: Sequence[str]) -> dict[str, str]:
    """Find the names that another list spells differently, at the same place.

    mmdet's list of the LVIS classes mends a name that the annotation files misspell
    (``speaker_(stero_equipment)``), and numbers labels by place. Names are taken for
    one where the lists are equally long, both names are unknown to the other list, and
    no more than one in a hundred differs.

    Args:
        classes: Names in use.
        theirs: Names of a file or a checkpoint, in the order of the labels.

    Returns:
        The other list's spelling by the name in use; empty where that is not so.
    """
    if len(classes) != len(theirs):
        return {}
    pairs = zip(classes, theirs, strict=True)
    different = {ours: other for ours, other in pairs if ours != other}
    if len(different) > len(classes) // 100:
        return {}
    ours, others = set(classes), set(theirs)
    if any(a in others or b in ours for a, b in different.items()):
        return {}
    return different


def _respelled(classes: Sequence[str], theirs: Sequence[str], source: Any) -> list[str]:
    """Write the names as the file does, with a warning where that differs."""
    other = spellings(classes, theirs)
    if other:
        warnings.warn(
            f"{source} spells classes differently, they are taken by their place "
            f"(name: in the file): {other}",
            stacklevel=4,
        )
    return [other.get(name, name) for name in classes]


def _shared(pairs: Iterable[tuple[Hashable, Any]]) -> str:
    """Describe the first keys that occur more than once, with all their values."""
    pairs = list(pairs)
    twice = [key for key, n in Counter(key for key, _ in pairs).items() if n > 1]
    named = [f"{key}: {[v for k, v in pairs if k == key]}" for key in twice]
    return and_more(named, quoted=False)


def category_ids(
    content: Mapping[str, Any],
    classes: Sequence[str],
    source: Any = "the annotation file",
    by_place: bool = False,
) -> list[int]:
    """List the category id of each label, and check that mmdet means the same.

    mmdet's ``CocoDataset`` numbers the labels in the order of the *file*. Where the
    names of the config stand in another order, or the file lacks one of them, labels
    and names part company in silence: the tables and pictures then show wrong names,
    and a lacking class shifts all that follow it.

    Args:
        content: Content of a COCO annotation file.
        classes: ``metainfo['classes']`` of the data set.
        source: The file, for the message.
        by_place: Whether a name may be spelled differently in the file, see
            :func:`spellings`: for mmdet's data sets of LVIS alone, which number labels
            by place, where all others would leave the class out. Default: False.

    Raises:
        ValueError: Names the classes that are missing, or the first that differs, or
            an entry that is no category.
    """
    for index, category in enumerate(content["categories"]):
        if not {"id", "name"} <= set(category):
            raise ValueError(
                f"{source}: categories[{index}] needs `id` and `name`, got {category}"
            )
    everyone = [category["name"] for category in content["categories"]]
    if by_place:
        classes = _respelled(classes, everyone, source)
    wanted = set(classes)
    kept = [c for c in content["categories"] if c["name"] in wanted]
    found = [category["name"] for category in kept]
    if len(set(found)) < len(found):
        twice = _shared((c["name"], c["id"]) for c in kept)
        raise ValueError(f"{source}: categories share a name: {twice} (name: ids)")
    known = set(found)
    if missing := [name for name in classes if name not in known]:
        raise ValueError(
            f"{source} has no category {and_more(missing)}, which "
            "`metainfo['classes']` names: the labels of all later classes would shift. "
            f"Its categories are {and_more(everyone, 20)}. Change "
            "`metainfo=dict(classes=...)` of the data set or add the category to the "
            "file (it may be without annotations)"
        )
    if found != list(classes):
        pairs = enumerate(zip_longest(found, classes, fillvalue="nothing"))
        at, (theirs, ours) = next((i, pair) for i, pair in pairs if pair[0] != pair[1])
        raise ValueError(
            f"label {at} is '{theirs}' in {source} but '{ours}' in "
            "`metainfo['classes']`: mmdet numbers the labels in the order of the file. "
            f"Write the classes in that order, without repeats: {tuple(found)}"
        )
    return [category["id"] for category in kept]
