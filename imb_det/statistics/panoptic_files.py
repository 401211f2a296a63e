"""Counts of things, stuff and pixels from a panoptic annotation file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .coco_json import parsed
from .label_table import LabelTable

__all__ = ["is_panoptic_file", "table_of_panoptic"]


def is_panoptic_file(path: Path) -> bool:
    """Tell whether an annotation file has segments in place of boxes."""
    return b'"segments_info"' in path.read_bytes()


def table_of_panoptic(
    path: Path, classes: Sequence[str] | None = None
) -> tuple[LabelTable, tuple[str, ...]]:
    """Read the classes and pixels of each image, as mmdet's data sets take them.

    Crowds of things do not count, nor segments without area or smaller than a pixel.

    Args:
        path: JSON with ``images``, ``annotations`` with ``segments_info``, and
            ``categories`` with ``isthing``.
        classes: Names in the wanted order; None for all, things by id and then stuff.

    Returns:
        The table, and the names of things.

    Raises:
        ValueError: A class that the file does not have, or a key that is missing.
    """
    content = parsed(path.read_bytes(), str(path))
    try:
        categories = sorted(
            content["categories"], key=lambda c: (not c["isthing"], c["id"])
        )
        names = [c["name"] for c in categories]
        chosen = tuple(names if classes is None else classes)
        if unknown := [name for name in chosen if name not in names]:
            raise ValueError(f"{path} has no category {unknown}; it has {names}")
        label_of = {
            c["id"]: chosen.index(c["name"]) for c in categories if c["name"] in chosen
        }
        things = {c["name"] for c in categories if c["isthing"]} & set(chosen)
        segments: dict[Any, list[dict[str, Any]]] = {
            image["id"]: [] for image in content["images"]
        }
        for entry in content["annotations"]:
            if entry["image_id"] in segments:
                segments[entry["image_id"]] += entry["segments_info"]
        labels = frozenset(chosen.index(name) for name in things)
        infos = [_info(own, label_of, labels) for own in segments.values()]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: no panoptic annotations ({error!r})") from error
    named = tuple(name for name in chosen if name in things)
    table = LabelTable.from_infos(chosen, infos)
    return table, named if len(named) < len(chosen) else ()


def _info(
    segments: list[dict[str, Any]], label_of: dict[Any, int], things: frozenset[int]
) -> dict[str, Any]:
    """Return the objects and pixels of an image, in the form of a data set's record."""
    instances, pixels = [], dict[int, int]()
    for segment in segments:
        if len(bbox := segment["bbox"]) != 4:
            raise TypeError(f"`bbox` must be four numbers, got {bbox!r:.80}")
        x, y, w, h = bbox
        label = label_of.get(segment["category_id"])
        is_nothing = segment["area"] <= 0 or w < 1 or h < 1
        is_crowd = label in things and segment.get("iscrowd")
        if label is None or is_nothing or is_crowd:
            continue
        instances.append({"bbox": (x, y, x + w, y + h), "bbox_label": label})
        pixels[label] = pixels.get(label, 0) + int(segment["area"])
    return {"instances": instances, "pixels": pixels}
