"""Data of a test that the config has, looked at before the training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mmengine.registry import DATASETS
from mmengine.runner import Runner

from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity

from .images import check_images
from .num_classes import check_num_classes
from .running import refusal, run_checks

__all__ = ["check_later", "later_test"]


def later_test(runner: Runner, context: CheckContext) -> CheckContext | Exception:
    """Return what a test will use and the training does not.

    Every rank calls it: constructors of data sets may communicate. Metrics of the test
    are not built.

    Args:
        runner: With the config of the test.
        context: Of the training.

    Returns:
        A context without data sets where there is no test, or on the data of the
        validation; an error where its data set cannot be built.
    """
    loader = getattr(runner, "_test_dataloader", None)
    if getattr(runner, "_test_loop", None) is None or loader is None:
        return CheckContext()
    if isinstance(loader, Mapping):
        dataset = loader["dataset"]
        val = getattr(runner, "_val_dataloader", None)
        if isinstance(val, Mapping) and val["dataset"] == dataset:
            return CheckContext()
        if isinstance(dataset, Mapping):
            try:
                dataset = DATASETS.build(dataset)
            except Exception as error:  # of any data set; the training does without
                return error
    else:
        dataset = loader.dataset
    return replace(context, datasets={"test": dataset}, metrics={})


def check_later(later: CheckContext | Exception) -> list[Finding]:
    """Look at what :func:`later_test` returns; nothing there stops a training."""
    if isinstance(later, Exception):
        what = "the data set of `test_dataloader` cannot be built"
        found = [refusal("test_data", what, later)]
    else:
        found = run_checks(later, (check_num_classes, check_images))
    return [finding.at_most(Severity.WARNING) for finding in found]
