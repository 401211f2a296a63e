"""The rules that a config evaluates by, and the ground truth that they need."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmdet.evaluation import CocoMetric as MMDetCocoMetric
from mmdet.evaluation import LVISMetric as MMDetLVISMetric
from mmdet.evaluation import VOCMetric as MMDetVOCMetric
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope

from imb_det.core.finding import Severity, raise_findings
from imb_det.statistics.class_stats import ClassStats
from imb_det.statistics.dataset_access import class_names

from .coco_metric import CocoMetric
from .counted_metric import CountedMetric
from .functional.coco_eval import CocoRules
from .functional.federated import FederatedGroundTruth
from .functional.ground_truth import GroundTruth, coco_ground_truth
from .functional.lvis_eval import LvisRules
from .functional.voc_eval import VocRules
from .metric_files import findings_of_file, has_file
from .voc_metric import VOCMetric

__all__ = [
    "Rules",
    "check_files",
    "comparable_rules",
    "ground_truth_for",
    "groups_of",
    "judges_masks",
    "make_evaluator",
    "rules_of",
]

Rules = CocoRules | LvisRules | VocRules


def make_evaluator(config: Any) -> Evaluator:
    """Build the metrics of ``test_evaluator``."""
    metrics = config.get("test_evaluator") or []
    return Evaluator(metrics if isinstance(metrics, list) else [metrics])


def check_files(evaluator: Evaluator, strictly: bool = True) -> None:
    """Log what is no sound object in the annotation files of metrics.

    Args:
        evaluator: Metrics of a config, which know the classes.
        strictly: Whether what would stop an evaluation is an error, or logged as well.
            Default: True.

    Raises:
        FindingsError: A file that a metric cannot judge by.
    """
    for metric in evaluator.metrics:
        if not has_file(metric) or getattr(metric, "format_only", False):
            continue
        name = type(metric).__name__
        found = list(findings_of_file(metric, f"{name} of `test_evaluator`"))
        if not strictly:
            found = [finding.at_most(Severity.WARNING) for finding in found]
        raise_findings(found, name)


def _judge_of(evaluator: Evaluator) -> Any:
    """Return the first metric that evaluates detections, None where there is none."""
    kinds = (MMDetCocoMetric, MMDetVOCMetric)
    return next((m for m in evaluator.metrics if isinstance(m, kinds)), None)


def rules_of(evaluator: Evaluator) -> Rules:
    """Return the rules of the first metric that evaluates detections.

    Args:
        evaluator: Metrics of a config, ours or mmdet's.

    Returns:
        Its rules, COCO's where there is none.
    """
    metric = _judge_of(evaluator)
    if isinstance(metric, (CocoMetric, VOCMetric)):
        return metric.rules
    if isinstance(metric, MMDetVOCMetric):
        return VocRules(tuple(metric.iou_thrs), metric.eval_mode)
    if isinstance(metric, MMDetLVISMetric):
        return LvisRules(tuple(metric.iou_thrs))
    if isinstance(metric, MMDetCocoMetric):
        return CocoRules(tuple(metric.iou_thrs), tuple(metric.proposal_nums))
    return CocoRules()


def comparable_rules(path: str | Path) -> CocoRules | LvisRules:
    """Read the rules of a config for a comparison of runs.

    Args:
        path: File of the config.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Rules by which runs are not compared.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file '{path}'")
    config = Config.fromfile(path)
    init_default_scope(config.get("default_scope", "mmdet"))
    rules = rules_of(make_evaluator(config))
    if isinstance(rules, VocRules):
        raise ValueError(
            f"{path}: runs are compared by the rules of COCO or LVIS, but its metric "
            "has those of VOC; give `--rules coco` and an annotation file of COCO"
        )
    return rules


def groups_of(
    evaluator: Evaluator, classes: Sequence[str], stats: ClassStats | None
) -> Mapping[str, np.ndarray]:
    """Return the groups of classes that the first metric tells apart.

    Args:
        evaluator: Metrics of a config.
        classes: Names of the classes that are evaluated.
        stats: Counts of the training set; None where it is not known.

    Returns:
        Class indices by the name of the group; empty if nothing is known.
    """
    for metric in evaluator.metrics:
        if isinstance(metric, CountedMetric):
            metric.dataset_meta = {**(metric.dataset_meta or {}), "classes": classes}
            if stats is not None:
                metric.set_class_stats(stats)
            return metric.groups()
    return {} if stats is None else stats.groups()


def judges_masks(evaluator: Evaluator, only: bool = False) -> bool:
    """Tell whether a metric judges masks.

    Args:
        evaluator: Metrics of a config.
        only: Whether to tell that none of them judges boxes. Default: False.
    """
    kinds = [set(getattr(metric, "metrics", ())) for metric in evaluator.metrics]
    has_masks = any("segm" in own for own in kinds)
    return has_masks and not (only and any("bbox" in own for own in kinds))


def ground_truth_for(
    evaluator: Evaluator,
    dataset: Any,
    infos: Iterable[Mapping[str, Any]],
    image_ids: Collection[Any] | None = None,
) -> GroundTruth:
    """Read the ground truth that the first metric judges by.

    That is the metric's annotation file, or the records of the test set where it has
    none: mmdet's data sets leave boxes of a file out, and have the area of the box.

    Args:
        evaluator: Metrics of a config.
        dataset: Test set, built.
        infos: Its records.
        image_ids: Images that were tested; all of them if None. Default: None.

    Raises:
        ValueError: The rules of LVIS without an annotation file, or with one that is
            not federated.
    """
    check_files(evaluator, strictly=False)
    metric, rules = _judge_of(evaluator), rules_of(evaluator)
    classes, infos = class_names(dataset), list(infos)
    # mmdet's metrics of COCO and LVIS name it differently.
    api = getattr(metric, "_lvis_api", None) or getattr(metric, "_coco_api", None)
    file = metric.file if isinstance(metric, CocoMetric) else api and api.dataset
    truth: GroundTruth
    if isinstance(rules, VocRules):
        truth = GroundTruth.from_records(classes, infos, with_empty=True)
    elif metric is None:
        truth = coco_ground_truth(dataset)
    elif isinstance(rules, LvisRules):
        if file is None:
            raise ValueError(
                "LVISMetric needs an annotation file, which alone says what was looked "
                "for; give it `ann_file='annotation file of the test set'`"
            )
        truth = FederatedGroundTruth.from_lvis(file, classes)
    elif file is not None:
        truth = GroundTruth.from_coco(file, classes)
    else:
        truth = GroundTruth.from_records(classes, infos)
    truth = truth.subset([info["img_id"] for info in infos]).with_sizes(infos)
    return truth if image_ids is None else truth.subset(image_ids)
