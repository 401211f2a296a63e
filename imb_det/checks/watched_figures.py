"""Figures that `save_best` and early stopping go by."""

from __future__ import annotations

from collections.abc import Iterator

from mmengine.hooks import CheckpointHook, EarlyStoppingHook

from imb_det.core.check_context import CheckContext, FigureSource
from imb_det.core.finding import Finding, Severity

__all__ = ["check_watched"]


def check_watched(context: CheckContext) -> Iterator[Finding]:
    """Find figures to watch that a metric knows it will not report.

    Args:
        context: Of a training; its metrics have the counts of the training set.
    """
    if "train" not in context.datasets:
        return
    keys: list[str] = []
    for hook in context.hooks:
        if isinstance(hook, CheckpointHook) and hook.save_best is not None:
            keys += hook.key_indicators
        elif isinstance(hook, EarlyStoppingHook):
            keys.append(hook.monitor)
    for metric in context.metrics.get("val", ()):
        if not isinstance(metric, FigureSource):
            continue
        for key in dict.fromkeys(keys):
            try:
                metric.check_watched([key])
            except ValueError as error:
                yield Finding(
                    "watched_figure",
                    Severity.ERROR,
                    "no validation will bring the figure that is to be watched",
                    f"`{key}`, {type(metric).__name__}",
                    str(error),
                )
