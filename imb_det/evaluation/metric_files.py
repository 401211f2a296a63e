"""What the annotation files of metrics hold that no evaluation can find."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from mmdet.evaluation import CocoMetric as _MMDetCocoMetric
from mmdet.evaluation import DumpProposals
from mmengine.evaluator import DumpResults

from imb_det.core.finding import Finding, FindingsError, Severity
from imb_det.statistics.coco_content import CocoContent
from imb_det.statistics.coco_kinds import KINDS, TOLD
from imb_det.statistics.coco_masks import judge_masks

from .coco_metric import CocoMetric
from .prediction_dump import PredictionDump

__all__ = ["content_of", "findings_of_file", "has_file", "judges", "judges_records"]

_OURS = (
    "Use `imb_det.CocoMetric` or `imb_det.LVISMetric`, which judge the file as the "
    "finding says, or take the entry out of the file"
)


#: Metrics that keep predictions, and judge none.
_DUMPS = (DumpProposals, DumpResults, PredictionDump)


def has_file(metric: Any) -> bool:
    """Tell whether a metric, ours or mmdet's, has read a file of COCO or LVIS."""
    # Others have files too, those of panoptic segmentation in another form.
    is_of_coco = isinstance(metric, _MMDetCocoMetric)
    return is_of_coco and isinstance(content_of(metric), Mapping)


def judges(metric: Any) -> bool:
    """Tell whether a metric judges predictions, and does not write them alone."""
    return not (isinstance(metric, _DUMPS) or getattr(metric, "format_only", False))


def judges_records(metric: Any) -> bool:
    """Tell whether a metric judges by what the data set holds."""
    return judges(metric) and not content_of(metric)


def findings_of_file(metric: Any, where: str) -> Iterator[Finding]:
    """Find what is malformed, or no sound object, in the annotation file of a metric.

    Args:
        metric: Of COCO or LVIS, ours or mmdet's, with an annotation file.
        where: Its name in messages.

    Yields:
        Warnings where our metrics leave something out, or judge it otherwise; errors
        where nothing can be judged, and where mmdet's metric would count as missed
        what is no object.
    """
    is_ours = isinstance(metric, CocoMetric)
    try:  # mmdet's do not keep the path
        source = f"`ann_file` of {where}"
        file = metric.file if is_ours else CocoContent(content_of(metric), source)
    except FindingsError as error:
        yield from error.findings
        return
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
        yield from file.without_size_findings()
    masks = judge_masks(file, classes, "is_judged")
    yield from masks.faults
    for found in masks.findings.values():
        yield found if is_ours else _refused(found)


def content_of(metric: Any) -> Any:
    """Return the content of a metric's annotation file, None if it has read none."""
    api = getattr(metric, "_lvis_api", None) or getattr(metric, "_coco_api", None)
    return getattr(api, "dataset", None)


def _refused(found: Finding) -> Finding:
    return replace(found, severity=Severity.ERROR, remedy=_OURS)


def _of_ids(file: CocoContent) -> Iterator[Finding]:
    """Find ids of annotations that pycocotools takes for something else."""
    meanings = {
        str: (Severity.ERROR, "ids of annotations that are text stop pycocotools"),
        int: (
            Severity.WARNING,
            "an object whose annotation has the id 0 is never found by pycocotools",
        ),
    }
    for index, annotation in enumerate(file.annotations):
        if annotation["id"] == 0 or isinstance(annotation["id"], str):
            severity, meaning = meanings[type(annotation["id"])]
            yield Finding(
                "annotation_id",
                severity,
                meaning,
                file.place_of(index),
                remedy="Use `imb_det.CocoMetric`, or number the annotations from 1",
            )
