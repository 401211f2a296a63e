"""Read access to mmengine-style data sets, through their wrappers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

__all__ = [
    "USABLE_FAULTS",
    "box_fault",
    "class_names",
    "dataset_nodes",
    "has_area",
    "id_order",
    "image_of_index",
    "info_of_image",
    "iter_data_infos",
    "joint_metainfo",
    "leaf_datasets",
    "name_of_image",
    "steps_of",
]


#: Largest number of single precision, in which boxes are trained on.
_MOST = float(np.finfo(np.float32).max)
_NAMED = 5  # classes of a list that a message names

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
    for node in dataset_nodes(dataset):
        if _children(node) or any(node is leaf for leaf in leaves):
            continue
        if not hasattr(node, "get_data_info"):
            raise TypeError(
                f"{type(node).__name__} is no mmengine data set: it has none of "
                "`get_data_info`, `dataset`, `datasets`"
            )
        leaves.append(node)
    return leaves


def dataset_nodes(dataset: Any) -> Iterator[Any]:
    """Yield a data set and everything that it wraps, the outer ones first."""
    yield dataset
    for child in _children(dataset):
        yield from dataset_nodes(child)


def _children(node: Any) -> list[Any]:
    """Return what a wrapper wraps, nothing for a data set with annotations."""
    if isinstance(getattr(node, "datasets", None), (list, tuple)):
        return list(node.datasets)
    return [node.dataset] if hasattr(node, "dataset") else []


def steps_of(transform: Any) -> Iterator[Any]:
    """Yield a transform and those inside it, as `Compose` and `RandomApply` have."""
    if isinstance(transform, (list, tuple)):
        for step in transform:
            yield from steps_of(step)
        return
    yield transform
    inner = getattr(transform, "transforms", None)
    if inner is not None and inner is not transform:
        yield from steps_of(inner)


def iter_data_infos(dataset: Any) -> Iterator[dict]:
    """Yield the annotation record of every image of every leaf, once each."""
    for leaf in leaf_datasets(dataset):
        for index in range(len(leaf)):
            yield leaf.get_data_info(index)


def info_of_image(dataset: Any, image: int) -> dict[str, Any]:
    """Return the annotation record of one image.

    Args:
        dataset: Built mmengine data set, wrapped in any way.
        image: Its place in :func:`iter_data_infos`.

    Raises:
        IndexError: There are not that many images.
    """
    place = image
    for leaf in leaf_datasets(dataset):
        if place < len(leaf):
            info: dict[str, Any] = leaf.get_data_info(place)
            return info
        place -= len(leaf)
    raise IndexError(f"the data set has no image {image}, counted from 0")


def name_of_image(dataset: Any, image: int) -> str:
    """Return the file of an image, or what else there is to name it.

    Args:
        dataset: Built mmengine data set, wrapped in any way.
        image: Its place in :func:`iter_data_infos`.
    """
    info = info_of_image(dataset, image)
    return str(info.get("img_path") or f"image {info.get('img_id', image)}")


def image_of_index(dataset: Any, root: Any = None) -> np.ndarray:
    """Return the image that each index of a data set stands for.

    ``ClassBalancedDataset``, ``RepeatDataset`` and subsets repeat or leave out images.

    Args:
        dataset: Built mmengine data set, wrapped in any way.
        root: Data set whose images count, with ``dataset`` inside. Default: None,
            ``dataset`` itself.

    Returns:
        For each index, the place of its image in :func:`iter_data_infos` of the root,
        int64 (len(dataset),).

    Raises:
        TypeError: A wrapper of another kind has another length than what it wraps.
    """
    leaves = leaf_datasets(dataset if root is None else root)
    ends = np.cumsum([0, *map(len, leaves)])
    start = {id(leaf): first for leaf, first in zip(leaves, ends[:-1], strict=True)}

    def images(node: Any) -> np.ndarray:
        if hasattr(node, "full_init"):  # without it, lazy wrappers know no indices
            node.full_init()
        children = _children(node)
        if not children:
            return start[id(node)] + np.arange(len(node))
        inside = np.concatenate([images(child) for child in children])
        for name in ("repeat_indices", "indices"):
            if hasattr(node, name):
                inside = inside[np.asarray(getattr(node, name), np.int64)]
                break
        else:
            inside = np.tile(inside, getattr(node, "times", 1))
        if len(inside) != len(node):
            raise TypeError(
                f"{type(node).__name__} has {len(node)} images and wraps "
                f"{len(inside)}: it is not known which image an index stands for. "
                "Known are ConcatDataset, RepeatDataset, ClassBalancedDataset, "
                "MultiImageMixDataset and subsets with `indices`"
            )
        return inside

    return images(dataset).astype(np.int64)


def class_names(dataset: Any) -> tuple[str, ...]:
    """Return ``metainfo['classes']``, the same for all leaves.

    Raises:
        ValueError: No class names, or leaves that disagree.
    """
    names = {
        tuple(leaf.metainfo.get("classes") or ()) for leaf in leaf_datasets(dataset)
    }
    if len(names) != 1 or not (classes := names.pop()):
        texts = [
            str(own[:_NAMED]) + f" and {len(own) - _NAMED} more" * (len(own) > _NAMED)
            for own in sorted(names)
        ]
        raise ValueError(
            "the data set needs one list of classes in `metainfo['classes']`, shared "
            f"by all its parts; found {' and '.join(texts) or 'none'}"
        )
    return classes


def joint_metainfo(metainfo: Any) -> Any:
    """Return one ``metainfo`` for a concatenation of parts that differ in theirs.

    mmdet's ``ConcatDataset`` has a list of them then, though a palette or the year of
    PASCAL VOC makes no difference to those who need names.

    Args:
        metainfo: Of a data set: a mapping, or that list.

    Returns:
        The mapping, or the first of the list.

    Raises:
        ValueError: Parts with other classes; names the first that differ.
    """
    if not isinstance(metainfo, (list, tuple)):
        return metainfo
    first, *others = metainfo
    for place, other in enumerate(others, 1):
        ours, theirs = (tuple(m.get("classes") or ()) for m in (first, other))
        if ours != theirs:
            raise ValueError(
                f"parts 0 and {place} of a concatenated data set have other classes: "
                f"{ours} and {theirs}. Labels are places in this list: give all parts "
                "the same `metainfo=dict(classes=...)`"
            )
    return first


def id_order(image_id: Any) -> tuple[int, Any]:
    """Return what image ids are sorted by: numbers, then names, then anything else.

    A concatenation of COCO and PASCAL VOC has ids of both kinds.
    """
    if isinstance(image_id, (int, float, np.integer, np.floating)):
        return 0, image_id
    return (1, image_id) if isinstance(image_id, str) else (2, repr(image_id))


def has_area(boxes: Any) -> np.ndarray:
    """Tell which boxes (x1, y1, x2, y2) have an area and are finite.

    Args:
        boxes: Corners in pixels, (n, 4); n may be 0.

    Returns:
        Bool, (n,).
    """
    x1, y1, x2, y2 = corners = np.asarray(boxes, float).reshape(-1, 4).T
    return (x2 > x1) & (y2 > y1) & np.isfinite(corners).all(0)


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
    if not all(-_MOST <= value <= _MOST for value in bbox):
        return "not_finite"
    if x2 <= x1 or y2 <= y1:
        return "no_area"
    if min(x2, width) <= max(x1, 0) or min(y2, height) <= max(y1, 0):
        return "outside"
    if x1 < 0 or y1 < 0 or x2 > width or y2 > height:
        return "over_border"
    return None
