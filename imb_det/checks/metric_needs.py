"""What metrics will need after the last image, looked at before the first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity
from imb_det.datasets.audited_dataset import AuditedDataset
from imb_det.evaluation.metric_files import (
    findings_of_file,
    has_file,
    judges,
    judges_records,
)
from imb_det.statistics.dataset_access import iter_data_infos, leaf_datasets

__all__ = ["check_metric_needs"]


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
            if not judges(metric):
                continue
            if has_file(metric):
                yield from (f for f in findings_of_file(metric, where) if f not in told)
            elif split in context.datasets and judges_records(metric):
                yield from _of_records(metric, context.datasets[split], where)


def _told(context: CheckContext) -> Iterator[Finding]:
    """Yield what data sets have told of the same files."""
    for dataset in context.datasets.values():
        for leaf in leaf_datasets(dataset):
            if isinstance(leaf, AuditedDataset):
                yield from leaf.audit.findings


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
