"""What COCO annotation files say, and how their entries are judged; no mmdet import.

The data sets of this package judge with the same functions, so that numbers counted
from the files are the numbers of what is trained on.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from .dataset_access import USABLE_FAULTS, box_fault

__all__ = ["category_ids", "check_image_ids", "coco_fault", "labels_of_coco"]

_NAMED = 5  # entries that a message names


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
        ValueError: A class that the file does not have, a repeated name or image id,
            or an entry that cannot be understood; names the file and the entry.
    """
    try:
        content = json.loads(ann_file.read_text())
        return _labels_of_coco(ann_file, content, classes)
    except json.JSONDecodeError as error:
        raise ValueError(f"{ann_file} is not valid JSON: {error}") from error
    except KeyError as error:
        raise ValueError(f"{ann_file}: an entry lacks the key {error}") from error


def _labels_of_coco(
    ann_file: Path, content: Mapping[str, Any], classes: Sequence[str] | None
) -> tuple[tuple[str, ...], list[list[int]]]:
    categories = sorted(content["categories"], key=lambda category: category["id"])
    ids = {category["name"]: category["id"] for category in categories}
    if len(ids) != len(categories):
        raise ValueError(f"{ann_file}: two categories share one name")
    names = tuple(ids) if classes is None else tuple(classes)
    if unknown := [name for name in names if name not in ids]:
        raise ValueError(f"{ann_file} has no category {unknown}; it has {list(ids)}")
    label = {ids[name]: index for index, name in enumerate(names)}
    check_image_ids(content["images"], ann_file)
    images = {image["id"]: image for image in content["images"]}
    labels: dict[Any, list[int]] = {image_id: [] for image_id in images}
    for ann in content["annotations"]:
        if ann.get("iscrowd") or ann.get("ignore") or ann["category_id"] not in label:
            continue
        image_id = ann["image_id"]
        where = f"{ann_file}: annotation {ann.get('id', '?')} (image {image_id})"
        if image_id not in images:
            raise ValueError(f"{where}: the file has no image of this id")
        size = [images[image_id].get(key) for key in ("width", "height")]
        if not all(_is_number(side) and side > 0 for side in size):
            raise ValueError(
                f"{ann_file}: image {image_id} needs a width and a height, two "
                f"numbers > 0, got {size}"
            )
        try:
            fault = coco_fault(ann, *size)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        if fault in USABLE_FAULTS:
            labels[image_id].append(label[ann["category_id"]])
    return names, list(labels.values())


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


def check_image_ids(images: Iterable[Mapping[str, Any]], source: Any) -> None:
    """Refuse COCO images that share an id: readers keep only the last of them.

    Args:
        images: ``images`` of a COCO file.
        source: The file, for the message.

    Raises:
        ValueError: Names the ids and the image files.
    """
    images = list(images)
    number = Counter(image["id"] for image in images)
    if not (twice := [image_id for image_id, n in number.items() if n > 1]):
        return
    files = [
        f"{image_id}: {[i.get('file_name') for i in images if i['id'] == image_id]}"
        for image_id in twice[:_NAMED]
    ]
    more = f" and {len(twice) - _NAMED} more" * (len(twice) > _NAMED)
    raise ValueError(
        f"{source}: several images share one id, so that only the last of them would "
        f"be used: {', '.join(files)}{more}"
    )


def category_ids(
    content: Mapping[str, Any],
    classes: Sequence[str],
    source: Any = "the annotation file",
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

    Raises:
        ValueError: Names the classes that are missing, or the first that differs.
    """
    wanted = set(classes)
    kept = [c for c in content["categories"] if c["name"] in wanted]
    found = [category["name"] for category in kept]
    if missing := [name for name in classes if name not in set(found)]:
        names = [category["name"] for category in content["categories"]]
        raise ValueError(
            f"{source} has no category {missing[:_NAMED]}, which `metainfo['classes']` "
            "names: the labels of all later classes would shift. Its categories are "
            f"{names[:20]}. Change `metainfo=dict(classes=...)` of the data set or add "
            "the category to the file (it may be without annotations)"
        )
    if found != list(classes):
        if len(set(classes)) == len(classes) < len(found):
            twice = [name for name, n in Counter(found).items() if n > 1]
            raise ValueError(f"{source} has several categories named {twice}")
        pairs = enumerate(zip_longest(found, classes, fillvalue="nothing"))
        at, (theirs, ours) = next((i, pair) for i, pair in pairs if pair[0] != pair[1])
        raise ValueError(
            f"label {at} is '{theirs}' in {source} but '{ours}' in "
            "`metainfo['classes']`: mmdet numbers the labels in the order of the file. "
            f"Write the classes in that order, without repeats: {tuple(found)}"
        )
    return [category["id"] for category in kept]
