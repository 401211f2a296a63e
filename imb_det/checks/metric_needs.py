"""What metrics will need after the last image, looked at before the first."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from imb_det.core.check_context import CheckContext
from imb_det.core.checks import NUMBERS
from imb_det.core.finding import Finding, Severity
from imb_det.evaluation.group_metric import GroupMetric
from imb_det.statistics.dataset_access import iter_data_infos

__all__ = ["check_metric_needs", "obstacle"]

_KEYS = ("images", "annotations", "categories")
_SEGM_REMEDY = "Add the masks to the file, or take 'segm' out of `metric`"


def check_metric_needs(context: CheckContext) -> Iterator[Finding]:
    """Find what would stop an evaluation, or make it empty, once all images are done.

    Args:
        context: With metrics, and the data sets that they judge.
    """
    for split, metrics in context.metrics.items():
        for metric in metrics:
            where = f"{type(metric).__name__} of {split}"
            if getattr(metric, "format_only", False):
                continue
            content = getattr(getattr(metric, "_coco_api", None), "dataset", None)
            if isinstance(content, Mapping):
                yield from _of_file(metric, content, where)
            elif "segm" in getattr(metric, "metrics", ()) and split in context.datasets:
                yield from _of_records(context.datasets[split], where)


def obstacle(folder: Path) -> str:
    """Return why nothing can be written to a folder, made if need be, or nothing."""
    folder = folder.absolute()
    first = next(p for p in (folder, *folder.parents) if p.exists())
    if not first.is_dir():
        return f"{first} is no folder"
    is_open = os.access(first, os.W_OK | os.X_OK)
    return "" if is_open else f"there is no right to write to {first}"


def _of_file(metric: Any, content: Mapping[str, Any], where: str) -> Iterator[Finding]:
    """Find what the annotation file of a metric lacks."""
    path = getattr(metric, "ann_file", None) or "its annotation file"
    if missing := [key for key in _KEYS if key not in content]:
        yield Finding(
            "annotation_keys",
            Severity.ERROR,
            "an annotation file for the evaluation lacks a part",
            f"{where}, {path}",
            f"has no {missing}, only {sorted(map(str, content))}",
            "Correct the key in the file, or set `ann_file` to another one",
        )
        return
    with_masks = "segm" in getattr(metric, "metrics", ())
    # mmdet's metrics need sizes for masks alone.
    images = content["images"] if with_masks or isinstance(metric, GroupMetric) else ()
    for image in images:
        sides = [image.get(key) for key in ("width", "height")]
        if not all(isinstance(side, NUMBERS) and side > 0 for side in sides):
            yield Finding(
                "image_size",
                Severity.ERROR,
                "images without a size in an annotation file for the evaluation",
                f"{where}, {path}",
                f"image {image.get('id')!r} ({image.get('file_name')}) has width and "
                f"height {sides}",
                "Add `width` and `height` to the images of the file",
            )
    if not with_masks:
        return
    wanted = (getattr(metric, "dataset_meta", None) or {}).get("classes")
    used = {c["id"] for c in content["categories"] if not wanted or c["name"] in wanted}
    for ann in content["annotations"]:
        if not ann.get("segmentation") and ann.get("category_id") in used:
            yield Finding(
                "no_mask",
                Severity.ERROR,
                "objects without a mask, where masks are to be judged",
                f"{where}, {path}",
                f"annotation {ann.get('id')!r} of image {ann.get('image_id')!r}",
                _SEGM_REMEDY,
            )


def _of_records(dataset: Any, where: str) -> Iterator[Finding]:
    """Find objects without masks where the data set is judged as it is."""
    for info in iter_data_infos(dataset):
        for index, instance in enumerate(info.get("instances", ())):
            if not instance.get("mask") and not instance.get("ignore_flag"):
                yield Finding(
                    "no_mask",
                    Severity.ERROR,
                    "objects without a mask, where masks are to be judged",
                    where,
                    f"object[{index}] of {info.get('img_path')}",
                    _SEGM_REMEDY,
                )
