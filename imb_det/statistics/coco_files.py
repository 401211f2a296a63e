"""Which classes the images of a COCO or LVIS file hold, without a data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imb_det.core.finding import raise_findings

from .coco_classes import respelled
from .coco_content import CocoContent
from .coco_kinds import KINDS, TOLD
from .coco_masks import judge_masks

__all__ = ["labels_of_coco", "labels_of_content"]


def labels_of_coco(
    ann_file: Path,
    classes: Sequence[str] | None,
    every_box: bool | None = False,
    with_masks: bool = False,
) -> tuple[tuple[str, ...], list[list[int]]]:
    """Read class names and the labels of each image from a COCO or LVIS file.

    Crowds, ignored boxes and boxes that mmdet's ``CocoDataset`` leaves out (outside the
    image, or smaller than a pixel) are not among the labels. What shows no sound object
    is logged.

    Args:
        ann_file: JSON with ``images``, ``annotations`` and ``categories``.
        classes: Names in the wanted order; all categories by id if None.
        every_box: Whether boxes that mmdet leaves out are among the labels as well;
            None for LVIS files alone, whose own counts have them. Default: False.
        with_masks: Whether the training uses masks, so that objects whose mask shows
            nothing are not among the labels. Default: False.

    Returns:
        Names, and one list of class indices an image.

    Raises:
        ValueError: A class that the file does not have, or whatever is malformed in
            the file; names the file and the entries.
    """
    return labels_of_content(CocoContent.read(ann_file), classes, every_box, with_masks)


def labels_of_content(
    file: CocoContent,
    classes: Sequence[str] | None = None,
    every_box: bool | None = None,
    with_masks: bool = False,
) -> tuple[tuple[str, ...], list[list[int]]]:
    """Return what :func:`labels_of_coco` does, of a file that has been read.

    Args:
        file: The file.
        classes: As there, like the next.
        every_box: See there. Default: None, for LVIS files alone.
        with_masks: See there.

    Raises:
        ValueError: As there.
    """
    ann_file = file.source
    if every_box is None:
        every_box = file.is_federated
    categories = sorted(file.categories, key=lambda category: category["id"])
    ids = {category["name"]: category["id"] for category in categories}
    names = tuple(ids) if classes is None else tuple(classes)
    # mmdet's data sets of LVIS number labels by place, all others by name.
    in_file = respelled(names, list(ids), ann_file) if every_box else names
    if unknown := [name for name in in_file if name not in ids]:
        raise ValueError(f"{ann_file} has no category {unknown}; it has {list(ids)}")
    counts = file.are("is_counted_by_lvis" if every_box else "is_used")
    counts &= file.of_classes(in_file) & ~file.flags("iscrowd") & ~file.flags("ignore")
    told = [kind for kind in TOLD if not (every_box and KINDS[kind].is_counted_by_lvis)]
    findings = file.findings(file.chosen(in_file, told))
    if with_masks:
        masks = judge_masks(file, in_file, "is_used")
        findings += [*masks.faults, *masks.findings.values()]
        counts[masks.hidden] = False
    raise_findings(findings, ann_file)
    label_of = {name: label for label, name in enumerate(in_file)}
    by_row = [label_of.get(category["name"], -1) for category in file.categories]
    labels = np.array([*by_row, -1])[file.category_rows[counts]]
    images = file.image_rows[counts]
    order = np.argsort(images, kind="stable")
    ends = np.cumsum(np.bincount(images, minlength=len(file.images)))[:-1]
    parts = np.split(labels[order], ends) if file.images else []
    return names, [part.tolist() for part in parts]
