"""Annotation files of COCO and LVIS, checked and numbered as ground truth is."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imb_det.core.checks import NUMBERS
from imb_det.statistics.coco_files import category_ids, check_ids

__all__ = ["image_entry", "read_coco", "read_content"]


def read_content(source: str | Path | Mapping[str, Any]) -> Mapping[str, Any]:
    """Read an annotation file, unless it has been read."""
    if isinstance(source, Mapping):
        return source
    return json.loads(Path(source).read_text(encoding="utf-8"))


def read_coco(
    content: Mapping[str, Any],
    classes: Sequence[str] | None,
    flags: Sequence[str],
    by_place: bool = False,
) -> tuple[tuple[str, ...], tuple[Any, ...], list[dict], list[dict]]:
    """Number the entries of a COCO file; returns the fields of ``GroundTruth``.

    Args:
        content: The file.
        classes: Names in the order of the labels; every category if None.
        flags: Keys of annotations that say that they are nothing to find.
        by_place: See :func:`~imb_det.statistics.coco_files.category_ids`.
    """
    check_ids(content, "the annotation file")
    if classes is None:
        classes = [category["name"] for category in content["categories"]]
    labels = {
        c: i for i, c in enumerate(category_ids(content, classes, by_place=by_place))
    }
    images = sorted(content["images"], key=lambda image: image["id"])
    rows = {image["id"]: row for row, image in enumerate(images)}
    annotations: list[dict[str, Any]] = []
    defined = {category["id"] for category in content["categories"]}
    for ann in content.get("annotations", ()):
        where = f"annotation {ann.get('id', '?')} (image {ann.get('image_id')!r})"
        if missing := [k for k in ("image_id", "category_id", "bbox") if k not in ann]:
            raise ValueError(f"{where} of the annotation file has no {missing}")
        if ann["category_id"] not in defined or ann["image_id"] not in rows:
            kind = "image" if ann["image_id"] not in rows else "category"
            raise ValueError(f"{where}: the annotation file has no {kind} of its id")
        if ann["category_id"] not in labels:
            continue
        if not _is_box(ann["bbox"]):
            raise ValueError(
                f"{where} of the annotation file: `bbox` must be four finite numbers "
                f"(x, y, w, h), got {ann['bbox']!r}; mend it or leave it out"
            )
        if not isinstance(ann.get("area") or 0, NUMBERS):
            raise ValueError(
                f"{where} of the annotation file: `area` must be a number, got "
                f"{ann['area']!r}"
            )
        # An empty outline is no mask.
        keys = ("bbox", "area", "segmentation")
        kept = {k: ann[k] for k in keys if ann.get(k) not in (None, [], {})}
        kept.setdefault("area", ann["bbox"][2] * ann["bbox"][3])
        kept["iscrowd"] = 0
        kept.update({flag: int(ann.get(flag) or 0) for flag in flags})
        kept["image_id"] = rows[ann["image_id"]]
        kept["category_id"] = labels[ann["category_id"]]
        annotations.append({"id": len(annotations) + 1, **kept})
    sizes = [image_entry(row, image) for row, image in enumerate(images)]
    return tuple(classes), tuple(rows), sizes, annotations


def _is_box(bbox: Any) -> bool:
    try:
        x, y, w, h = bbox
        return math.isfinite(x + y + w + h)
    except (TypeError, ValueError):
        return False


def image_entry(row: int, image: Mapping[str, Any]) -> dict[str, int]:
    """Return ``id``, ``height`` and ``width`` of an image.

    Args:
        row: Its number.
        image: Its entry in a COCO file, or its record in a data set.

    Raises:
        ValueError: It has no size; names the image.
    """
    if lacking := [key for key in ("height", "width") if image.get(key) is None]:
        raise ValueError(
            f"image {image.get('id', image.get('img_id'))!r} has no {lacking}; add its "
            "size in pixels"
        )
    return {"id": row, "height": int(image["height"]), "width": int(image["width"])}
