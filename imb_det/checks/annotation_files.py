"""Annotation files of mmdet's own data sets of COCO and LVIS."""

from __future__ import annotations

from collections.abc import Iterator

from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding
from imb_det.datasets.annotation_files import findings_of_leaf, is_read_by_mmdet
from imb_det.evaluation.metric_files import judges_records
from imb_det.statistics.dataset_access import leaf_datasets

__all__ = ["check_annotation_files"]


def check_annotation_files(context: CheckContext) -> Iterator[Finding]:
    """Find what is malformed, or no sound object, in files that mmdet's sets have read.

    Data sets of this library do so by themselves, while they read.

    Args:
        context: With data sets.
    """
    for split, dataset in context.datasets.items():
        by_records = any(map(judges_records, context.metrics.get(split, ())))
        for leaf in leaf_datasets(dataset):
            if is_read_by_mmdet(type(leaf)):
                in_training = split == "train"
                yield from findings_of_leaf(
                    leaf, in_training, needs_annotations=in_training or by_records
                )
