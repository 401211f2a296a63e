"""What metrics will need after the last image, looked at before the first."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, FindingsError, Severity
from imb_det.datasets.audited_dataset import AuditedDataset
from imb_det.evaluation.coco_metric import CocoMetric
from imb_det.statistics.coco_content import CocoContent
from imb_det.statistics.coco_faults import place_of
from imb_det.statistics.coco_kinds import KINDS, TOLD
from imb_det.statistics.coco_masks import mask_faults, mask_findings, without_outline
from imb_det.statistics.dataset_access import iter_data_infos, leaf_datasets

__all__ = ["check_metric_needs"]

_OURS = (
    "Use `imb_det.CocoMetric` or `imb_det.LVISMetric`, which judge the file as the "
    "finding says, or take the entry out of the file"
)


def check_metric_needs(context: CheckContext) -> Iterator[Finding]:
    """Find what would stop an evaluation, or make it empty, once all images are done.

    Annotations of a metric's file that show no sound object are warnings, or errors
    where mmdet's own metric would count them as objects that nothing finds.

    Args:
        context: With metrics, and the data sets that they judge.
    """
    told = set(_told(context))
    for split, metrics in context.metrics.items():
        for metric in metrics:
            where = f"{type(metric).__name__} of {split}"
            yield from _unwritable(metric, where)
            if getattr(metric, "format_only", False):
                continue
            try:
                file = _file_of(metric, where)
            except FindingsError as error:
                yield from error.findings
                continue
            if file is not None:
                yield from (f for f in _of_file(metric, file) if f not in told)
            elif split in context.datasets:
                yield from _of_records(metric, context.datasets[split], where)


def _told(context: CheckContext) -> Iterator[Finding]:
    """Yield what data sets have told of the same files."""
    for dataset in context.datasets.values():
        for leaf in leaf_datasets(dataset):
            if isinstance(leaf, AuditedDataset):
                yield from leaf.audit.findings


def _unwritable(metric: Any, where: str) -> Iterator[Finding]:
    """Find folders for tables and results in which nothing can be written."""
    table_dir = getattr(metric, "table_dir", None)
    prefix = getattr(metric, "outfile_prefix", None)
    folders = {"table_dir": table_dir, "outfile_prefix": prefix and Path(prefix).parent}
    for argument, folder in folders.items():
        if folder and (reason := obstacle(Path(folder))):
            yield Finding(
                "unwritable",
                Severity.ERROR,
                "a metric cannot write where it is to",
                f"{where}, `{argument}`",
                f"{folder}: {reason}",
                f"Set `{argument}` to a folder that can be written to",
            )


def obstacle(folder: Path) -> str:
    """Return why nothing can be written to a folder, made if need be, or nothing."""
    folder = folder.absolute()
    first = next(p for p in (folder, *folder.parents) if p.exists())
    if not first.is_dir():
        return f"{first} is no folder"
    is_open = os.access(first, os.W_OK | os.X_OK)
    return "" if is_open else f"there is no right to write to {first}"


def _file_of(metric: Any, where: str) -> CocoContent | None:
    """Return the annotation file of a metric, ours or mmdet's, if it has one.

    Raises:
        FindingsError: It is malformed; ours would not have been built.
    """
    if isinstance(metric, CocoMetric):
        return metric.file
    api = getattr(metric, "_lvis_api", None) or getattr(metric, "_coco_api", None)
    content = getattr(api, "dataset", None)
    if not isinstance(content, Mapping):
        return None
    return CocoContent(content, f"`ann_file` of {where}")  # it does not keep the path


def _of_file(metric: Any, file: CocoContent) -> Iterator[Finding]:
    """Find what is no sound object in the annotation file of a metric."""
    is_ours = isinstance(metric, CocoMetric)
    classes = (getattr(metric, "dataset_meta", None) or {}).get("classes")
    if file.is_federated:  # mmdet numbers the labels by place, and may spell otherwise
        classes = None
    for found in file.findings(file.chosen(classes, TOLD)):
        is_alike = is_ours or KINDS[found.code].judged_alike
        yield found if is_alike else _refused(found)
    if not is_ours:
        yield from _of_ids(file)
    if "segm" not in getattr(metric, "metrics", ()):
        return
    if not is_ours:  # ours take sizes from what was evaluated
        yield from images_without_size(file)
    yield from mask_faults(file, classes, "is_judged")
    for found in mask_findings(file, without_outline(file, classes, "is_judged")):
        yield found if is_ours else _refused(found)


def _refused(found: Finding) -> Finding:
    return replace(found, severity=Severity.ERROR, remedy=_OURS)


def images_without_size(file: CocoContent) -> Iterator[Finding]:
    """Find images whose size the file does not give."""
    for row in file.without_size.tolist():
        image = file.images[row]
        sides = [image.get(key) for key in ("width", "height")]
        yield Finding(
            "image_size",
            Severity.ERROR,
            "images without a size in an annotation file",
            place_of(file.source, "images", row, image),
            f"has width and height {sides}",
            "Add `width` and `height` to the images of the file, or use `imb_det.` "
            "classes, which take them from the image",
        )


def _of_ids(file: CocoContent) -> Iterator[Finding]:
    """Find ids of annotations that pycocotools takes for something else."""
    for index, annotation in enumerate(file.annotations):
        if annotation["id"] == 0 or not isinstance(annotation["id"], int):
            yield Finding(
                "annotation_id",
                Severity.ERROR,
                "ids of annotations that pycocotools does not know: text stops it, and "
                "what has id 0 is never found",
                file.place_of(index),
                remedy="Use `imb_det.CocoMetric`, or number the annotations from 1",
            )


def _of_records(metric: Any, dataset: Any, where: str) -> Iterator[Finding]:
    """Find what is missing where the data set is judged as it is."""
    for leaf in leaf_datasets(dataset):
        if isinstance(leaf, AuditedDataset) and leaf.audit.counts["no_annotations"]:
            yield Finding(
                "annotation_keys",
                Severity.ERROR,
                "an annotation file lacks a part",
                f"{leaf.ann_file}",
                f"has no ['annotations'], by which {where} is to judge",
                "Correct the key in the file, or set `ann_file` to another one",
            )
    if "segm" not in getattr(metric, "metrics", ()):
        return
    for info in iter_data_infos(dataset):
        for index, instance in enumerate(info.get("instances", ())):
            if not instance.get("mask") and not instance.get("ignore_flag"):
                yield Finding(
                    "no_mask",
                    Severity.ERROR,
                    "objects without a mask, where masks are used",
                    where,
                    f"object[{index}] of {info.get('img_path')}",
                    "Add the masks to the file, or take 'segm' out of `metric`",
                )
