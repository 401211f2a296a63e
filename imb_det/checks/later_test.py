"""Data and metrics of a test that the config has, looked at before the training."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from mmengine.registry import DATASETS
from mmengine.runner import Runner

from imb_det.core.check_context import Check, CheckContext
from imb_det.core.finding import Finding, Severity, refusal
from imb_det.core.main_process import on_main_process
from imb_det.datasets.unread_files import explain_failures

from .annotation_files import check_annotation_files
from .components import check_components
from .concatenations import (
    check_evaluated_images,
    check_image_ids,
    check_metainfo,
)
from .empty_sets import check_empty_sets
from .images import check_images
from .metric_needs import check_metric_needs
from .num_classes import check_class_order, check_num_classes
from .running import run_checks
from .writable import check_writable

__all__ = ["check_later_test"]


def check_later_test(runner: Runner, context: CheckContext) -> list[Finding]:
    """Look at what a test will use and the training does not.

    Every rank calls it: constructors of data sets may communicate. Rank 0 looks.

    Args:
        runner: With the config of the test.
        context: Of the training.

    Returns:
        Warnings, as nothing there stops a training.
    """
    data = _dataset_of(getattr(runner, "_test_dataloader", None))
    if getattr(runner, "_test_loop", None) is None or data is None:
        return []
    judged_by = runner._test_evaluator
    is_same = data == _dataset_of(runner._val_dataloader)
    checks: list[Check] = []
    datasets: dict[str, Any] = {}
    metrics: list[Any] = []
    found: list[Finding] = []
    if is_same:  # looked at already
        datasets["test"] = context.datasets.get("val")
    else:
        dataset, found = _build("dataloader", lambda: _built(data))
        if not found:
            datasets["test"] = dataset
            checks = [
                check_num_classes,
                check_class_order,
                check_empty_sets,
                check_annotation_files,
                check_images,
                check_metainfo,
            ]
    if not is_same or judged_by != runner._val_evaluator:
        evaluator, unbuilt = _build(
            "evaluator", lambda: runner.build_evaluator(copy.deepcopy(judged_by))
        )
        found += unbuilt
        if not unbuilt:
            metrics = evaluator.metrics
            checks += [check_image_ids, check_evaluated_images, check_metric_needs]
            checks += [check_writable, check_components]
            if "test" in datasets and evaluator.dataset_meta is None:
                evaluator.dataset_meta = getattr(datasets["test"], "metainfo", None)
    later = replace(
        context,
        datasets=datasets,
        metrics={"test": metrics},
        components=metrics,
        hooks=(),
    )
    found += on_main_process(lambda: run_checks(later, checks))
    return [finding.at_most(Severity.WARNING) for finding in found]


def _dataset_of(loader: Any) -> Any:
    """Return the data set of a loader, or its config."""
    if isinstance(loader, Mapping):
        return loader["dataset"]
    return getattr(loader, "dataset", None)


def _built(dataset: Any) -> Any:
    if not isinstance(dataset, Mapping):
        return dataset
    with explain_failures({"test_dataloader": {"dataset": dataset}}):
        return DATASETS.build(dataset)


def _build(part: str, build: Callable[[], Any]) -> tuple[Any, list[Finding]]:
    """Build a part of the test, or say why it cannot be built."""
    try:
        return build(), []
    except Exception as error:  # of anybody's class; the training does without
        code = {"dataloader": "test_data", "evaluator": "test_metrics"}[part]
        return None, [refusal(code, f"`test_{part}` cannot be built", error)]
