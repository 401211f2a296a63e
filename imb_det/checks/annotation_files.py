"""Annotation files of mmdet's own data sets of COCO and LVIS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mmdet import datasets
from mmengine.fileio import get_local_path

from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, FindingsError, Severity
from imb_det.datasets.audited_dataset import AuditedDataset
from imb_det.statistics.coco_classes import category_ids
from imb_det.statistics.coco_content import CocoContent
from imb_det.statistics.coco_kinds import KINDS, TOLD
from imb_det.statistics.coco_masks import (
    is_skipped_by_mmdet,
    mask_faults,
    mask_findings,
    without_outline,
)
from imb_det.statistics.dataset_access import leaf_datasets
from imb_det.statistics.loaded_masks import mask_use

from .metric_needs import images_without_size

__all__ = ["check_annotation_files", "file_findings", "is_read_by_mmdet"]

_OURS = (
    "Use `type='imb_det.CocoDataset'`, which removes and reports it, or take the entry "
    "out of the file"
)
#: Data sets whose files have the form of COCO or LVIS, by how they read them.
_READERS = {
    kind.load_data_list
    for kind in (
        datasets.CocoDataset,
        datasets.LVISV05Dataset,
        datasets.LVISV1Dataset,
        datasets.Objects365V1Dataset,
        datasets.Objects365V2Dataset,
    )
}


def check_annotation_files(context: CheckContext) -> Iterator[Finding]:
    """Find what is malformed, or no sound object, in files that mmdet's sets have read.

    Data sets of this library do so by themselves, while they read.

    Args:
        context: With data sets.
    """
    for split, dataset in context.datasets.items():
        by_records = any(
            getattr(metric, "_coco_api", None) is None
            for metric in context.metrics.get(split, ())
            if not getattr(metric, "format_only", False)
        )
        for leaf in leaf_datasets(dataset):
            if is_read_by_mmdet(type(leaf)):
                yield from file_findings(
                    type(leaf),
                    leaf.ann_file,
                    leaf.metainfo.get("classes"),
                    mask_use(leaf),
                    in_training=split == "train",
                    needs_annotations=split == "train" or by_records,
                    backend_args=leaf.backend_args,
                )


def is_read_by_mmdet(kind: type) -> bool:
    """Tell whether a class of data sets reads COCO or LVIS files, and is mmdet's."""
    is_ours = issubclass(kind, AuditedDataset)
    return not is_ours and getattr(kind, "load_data_list", None) in _READERS


def file_findings(
    kind: type,
    ann_file: str,
    classes: Any,
    as_polygons: bool | None,
    in_training: bool,
    needs_annotations: bool = True,
    backend_args: Any = None,
) -> Iterator[Finding]:
    """Find what mmdet's data set would fail at, or train on.

    Args:
        kind: Class of the data set.
        ann_file: Its file.
        classes: Names that the config gives it.
        as_polygons: How its pipeline loads masks, see
            :func:`~imb_det.statistics.loaded_masks.mask_use`.
        in_training: Whether it is trained on.
        needs_annotations: See :class:`CocoContent`. Default: True.
        backend_args: Of the data set. Default: None.
    """
    of_lvis = issubclass(kind, datasets.LVISV05Dataset)  # v1 is derived from it
    name_key = "coco_url" if issubclass(kind, datasets.LVISV1Dataset) else "file_name"
    try:
        with get_local_path(ann_file, backend_args=backend_args) as path:
            file = CocoContent.read(
                path, ann_file, needs_annotations=needs_annotations, name_key=name_key
            )
    except FindingsError as error:
        yield from error.findings
        return
    if issubclass(kind, datasets.Objects365V1Dataset):
        file.categories.sort(key=lambda category: category["id"])
    if not of_lvis and classes:
        yield from _of_classes(file, classes)
    names = None if of_lvis else classes  # LVIS may spell them otherwise
    yield from images_without_size(file)
    for found in file.findings(file.chosen(names, TOLD)):
        is_null = found.code == "not_finite" and "None" in found.evidence
        is_alike = KINDS[found.code].trained_alike or not (in_training or is_null)
        yield found if is_alike else _refused(found)
    if as_polygons is None:
        return
    yield from mask_faults(file, names, "is_used")
    hidden = without_outline(file, names, "is_used")
    for index, found in zip(hidden, mask_findings(file, hidden), strict=True):
        is_alike = is_skipped_by_mmdet(file.annotations[index]["segmentation"])
        yield found if is_alike else _refused(found)


def _of_classes(file: CocoContent, classes: Any) -> Iterator[Finding]:
    try:
        category_ids(file.content, classes, file.source)
    except ValueError as error:
        yield Finding(
            "category_order",
            Severity.ERROR,
            "labels and names of classes part company",
            evidence=str(error),
        )


def _refused(found: Finding) -> Finding:
    return replace(found, severity=Severity.ERROR, remedy=_OURS)
