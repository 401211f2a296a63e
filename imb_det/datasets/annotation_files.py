"""What the annotation files of mmdet's own data sets of COCO and LVIS hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from mmdet import datasets
from mmengine.fileio import get_local_path

from imb_det.core.finding import Finding, FindingsError, Severity
from imb_det.core.text import and_more
from imb_det.statistics.coco_classes import category_ids
from imb_det.statistics.coco_content import CocoContent
from imb_det.statistics.coco_kinds import KINDS, TOLD
from imb_det.statistics.coco_masks import is_safe_in_mmdet, judge_masks
from imb_det.statistics.loaded_masks import mask_use
from imb_det.statistics.shown_labels import hides_labels

from .audited_dataset import AuditedDataset

__all__ = ["findings_of_leaf", "is_read_by_mmdet"]

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


def is_read_by_mmdet(kind: Any) -> bool:
    """Tell whether a class of data sets reads COCO or LVIS files, and is mmdet's."""
    # Panoptic files have another form, and are read by the same function.
    if issubclass(kind, (AuditedDataset, datasets.CocoPanopticDataset)):
        return False
    if getattr(kind, "load_data_list", None) not in _READERS:
        return False
    # Classes of one's own may read entries of another form.
    return kind.parse_data_info.__module__.partition(".")[0] == "mmdet"


def findings_of_leaf(
    leaf: Any, in_training: bool, needs_annotations: bool
) -> Iterator[Finding]:
    """Find what mmdet's data set would fail at, or train on.

    Args:
        leaf: Data set; it need not have read its file.
        in_training: Whether it is trained on.
        needs_annotations: See :class:`~imb_det.statistics.coco_content.CocoContent`.
    """
    if is_hidden := hides_labels(leaf):  # of unlabelled images: nobody sees a box
        in_training = needs_annotations = False
    of_lvis = isinstance(leaf, datasets.LVISV05Dataset)  # v1 is derived from it
    name_key = "coco_url" if isinstance(leaf, datasets.LVISV1Dataset) else "file_name"
    classes = leaf.metainfo.get("classes")
    try:
        with get_local_path(leaf.ann_file, backend_args=leaf.backend_args) as path:
            file = CocoContent.read(path, leaf.ann_file, needs_annotations, name_key)
    except FindingsError as error:
        yield from error.findings
        return
    if isinstance(leaf, datasets.Objects365V1Dataset):
        file.categories.sort(key=lambda category: category["id"])
    if not of_lvis and classes and not is_hidden:
        yield from _of_classes(file, classes, in_training)
    names = None if of_lvis else classes  # LVIS may spell them otherwise
    yield from file.without_size_findings()
    for found in file.findings(file.chosen(names, TOLD)):
        is_null = found.code == "not_finite" and "None" in found.evidence
        is_alike = KINDS[found.code].trained_alike or not (in_training or is_null)
        yield found if is_alike else _refused(found)
    if mask_use(leaf) is None:
        return
    masks = judge_masks(file, names, "is_used")
    yield from masks.faults
    for index, found in masks.findings.items():
        is_alike = is_safe_in_mmdet(file.annotations[index]["segmentation"])
        yield found if is_alike else _refused(found)


def _of_classes(
    file: CocoContent, classes: Sequence[str], in_training: bool
) -> Iterator[Finding]:
    wanted = set(classes)
    known = [c["name"] for c in file.categories if c["name"] in wanted]
    if in_training and known and known == list(classes)[: len(known)]:
        if lacking := list(classes)[len(known) :]:  # the last, so that no label shifts
            yield Finding(
                "category_missing",
                Severity.WARNING,
                "a training file lacks categories, so that there is nothing to learn "
                "of them",
                file.source,
                and_more(lacking),
            )
        return
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
