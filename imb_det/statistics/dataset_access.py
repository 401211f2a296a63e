"""Read access to mmengine-style data sets, through their wrappers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = [
    "USABLE_FAULTS",
    "box_fault",
    "boxes_without_area",
    "class_names",
    "iter_data_infos",
    "leaf_datasets",
]


#: Findings of :func:`box_fault` with which a box can be trained on.
USABLE_FAULTS = (None, "over_border")


def leaf_datasets(dataset: Any) -> list[Any]:
    """List the data sets with annotations below any nesting of wrappers.

    Wrappers are recognised by shape, as mmengine writes them: ``datasets`` (a list,
    for example ``ConcatDataset``) or ``dataset`` (for example ``RepeatDataset``,
    ``ClassBalancedDataset`` and ``MultiImageMixDataset``). A data set that stands
    behind several wrappers is listed once.

    Args:
        dataset: Data set or wrapper, built.

    Returns:
        Leaves in the order of the wrappers.

    Raises:
        TypeError: A leaf has no ``get_data_info``.
    """
    leaves: list[Any] = []

    def walk(node: Any) -> None:
        if isinstance(getattr(node, "datasets", None), (list, tuple)):
            for child in node.datasets:
                walk(child)
        elif hasattr(node, "dataset"):
            walk(node.dataset)
        elif not hasattr(node, "get_data_info"):
            raise TypeError(
                f"{type(node).__name__} is no mmengine data set: it has none of "
                "`get_data_info`, `dataset`, `datasets`"
            )
        elif not any(node is leaf for leaf in leaves):
            leaves.append(node)

    walk(dataset)
    return leaves


def iter_data_infos(dataset: Any) -> Iterator[dict]:
    """Yield the annotation record of every image of every leaf, once each."""
    for leaf in leaf_datasets(dataset):
        for index in range(len(leaf)):
            yield leaf.get_data_info(index)


def class_names(dataset: Any) -> tuple[str, ...]:
    """Return ``metainfo['classes']``, the same for all leaves.

    Raises:
        ValueError: No class names, or leaves that disagree.
    """
    names = {
        tuple(leaf.metainfo.get("classes") or ()) for leaf in leaf_datasets(dataset)
    }
    if len(names) != 1 or not (classes := names.pop()):
        raise ValueError(
            "the data set needs one list of classes in `metainfo['classes']`, shared "
            f"by all its parts; found {sorted(names) or 'none'}"
        )
    return classes


def boxes_without_area(bbox: Any) -> bool:
    """Tell whether a box ``(x1, y1, x2, y2)`` has no area or is not finite."""
    x1, y1, x2, y2 = bbox
    return not (x2 > x1 and y2 > y1 and abs(x1 + y1 + x2 + y2) < float("inf"))


def box_fault(bbox: Sequence[float], width: float, height: float) -> str | None:
    """Judge one box.

    Args:
        bbox: Corners x1, y1, x2, y2 in pixels, counted from 0.
        width: Width of the image.
        height: Height of the image.

    Returns:
        Kind of finding, or None for a sound box; see :data:`USABLE_FAULTS`.
    """
    x1, y1, x2, y2 = bbox
    if not all(map(math.isfinite, bbox)):
        return "not_finite"
    if boxes_without_area(bbox):
        return "no_area"
    if boxes_without_area((max(x1, 0), max(y1, 0), min(x2, width), min(y2, height))):
        return "outside"
    if x1 < 0 or y1 < 0 or x2 > width or y2 > height:
        return "over_border"
    return None
