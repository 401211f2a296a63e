"""What an annotation file of LVIS says beyond one of COCO."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .coco_faults import FaultList

__all__ = ["check_federated", "is_federated", "refuse_unfederated"]

#: Classes that were looked for in an image, and those of which objects may lack.
LISTS = ("neg_category_ids", "not_exhaustive_category_ids")
_LETTERS = ("r", "c", "f")


def is_federated(content: Mapping[str, Any]) -> bool:
    """Tell an annotation file of LVIS from one of COCO.

    Files of Open Images in COCO's form have the first of the lists alone.
    """
    images = content.get("images", ())
    return all(any(key in image for image in images) for key in LISTS)


def refuse_unfederated(content: Mapping[str, Any], source: Any) -> None:
    """Refuse a file of COCO, where one of LVIS is needed.

    Raises:
        ValueError: Names a list that no image has.
    """
    for key in LISTS:
        if not any(key in image for image in content["images"]):
            raise ValueError(
                f"{source}: no image has `{key}`: this is no LVIS file; use "
                "imb_det.CocoMetric"
            )


def check_federated(content: Mapping[str, Any], faults: FaultList) -> None:
    """Note what is malformed in images and categories of an LVIS file.

    Args:
        content: Content of the file, with entries of the right form.
        faults: Gets what is found.
    """
    kinds = {type(category["id"]) for category in content["categories"]}
    for index, image in enumerate(content["images"]):
        for key in LISTS:
            ids = image.get(key)
            if type(ids) is list and set(map(type, ids)) <= kinds:
                continue
            text = f"lacks `{key}`, which every image of LVIS has"
            if key in image:
                text = f"`{key}` must be a list of category ids, got {ids!r:.80}"
            faults.add_entry("federated", "images", index, image, text)
    letters = [category.get("frequency") for category in content["categories"]]
    if all(letter is None for letter in letters):
        return
    for index, letter in enumerate(letters):
        if letter not in _LETTERS:
            category = content["categories"][index]
            text = f"needs a `frequency` of 'r', 'c' or 'f', got {letter!r:.80}"
            faults.add_entry("federated", "categories", index, category, text)
