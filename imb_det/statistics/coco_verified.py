"""Which classes an LVIS file has verified in each of its images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .coco_classes import respelled
from .coco_content import CocoContent
from .coco_federated import LISTS

__all__ = ["verified_labels"]


def verified_labels(path: str | Path, classes: Sequence[str]) -> dict[Any, np.ndarray]:
    """Read which classes each image has been searched for, all of it.

    These are the classes of its objects and its ``neg_category_ids``, without its
    ``not_exhaustive_category_ids``: of these, objects may be without a box.

    Args:
        path: An LVIS file.
        classes: Names in the order of the labels.

    Returns:
        Labels by image id, int64 (n,), increasing; those that ``classes`` has.

    Raises:
        ValueError: The file is none of LVIS, or malformed; names it.
    """
    file = CocoContent.read(path)
    if not file.is_federated:
        missing = [k for k in LISTS if not any(k in image for image in file.images)]
        raise ValueError(
            f"{path}: no image has {' and '.join(f'`{key}`' for key in missing)}: this "
            "is no LVIS file, and does not say which classes it has verified in an "
            "image; write `source='counts'` into FederatedLoss"
        )
    categories = sorted(file.categories, key=lambda category: category["id"])
    theirs = [category["name"] for category in categories]
    in_file = respelled(tuple(classes), theirs, path)
    label_of_name = {name: label for label, name in enumerate(in_file)}
    label_of = {c["id"]: label_of_name.get(c["name"], -1) for c in file.categories}
    found = [{label_of[i] for i in image[LISTS[0]]} for image in file.images]
    for row, annotation in zip(file.image_rows, file.annotations, strict=True):
        if row >= 0:
            found[row].add(label_of.get(annotation["category_id"], -1))
    unfinished = [{label_of[i] for i in image[LISTS[1]]} for image in file.images]
    return {
        image["id"]: np.array(sorted(labels - without - {-1}), np.int64)
        for image, labels, without in zip(file.images, found, unfinished, strict=True)
    }
