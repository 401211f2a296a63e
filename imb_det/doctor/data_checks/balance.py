"""How uneven the classes are, and which have nothing to learn from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from imb_det.core.finding import Finding, Severity
from imb_det.core.text import and_more
from imb_det.doctor.context import DoctorContext
from imb_det.hooks import ImbalanceHook
from imb_det.statistics.imbalance_measures import gini, imbalance_ratio

from .class_tables import EVALUATED, counts_of

__all__ = ["check_class_balance", "check_untrained_classes"]

_EVEN = 10  # imbalance ratio below which nobody asks for groups
_BY_GROUPS = (
    "Read AP by groups of classes: `val_evaluator = dict(type='imb_det.{})` and "
    "`custom_hooks = [dict(type='imb_det.ImbalanceHook')]`"
)


def check_class_balance(context: DoctorContext) -> Iterator[Finding]:
    """Tell counts, groups, imbalance ratio and Gini coefficient of the training set.

    Args:
        context: With counts of the training set.
    """
    stats = context.class_stats
    if stats is None or not stats.instance_count.sum():
        return
    counts, names = stats.instance_count, stats.classes
    seen = np.flatnonzero(counts)
    most, least = (int(seen[place(counts[seen])]) for place in (np.argmax, np.argmin))
    ratio = imbalance_ratio(counts)
    has_groups = any(isinstance(hook, ImbalanceHook) for hook in context.hooks)
    yield Finding(
        "class_balance",
        Severity.INFO,
        "how the boxes of the training set are spread over its classes",
        context.files("train"),
        f"{len(seen)} of {len(names)} classes have {counts.sum():,} boxes in "
        f"{stats.num_images:,} images; most has {names[most]!r} with "
        f"{counts[most]:,}, fewest {names[least]!r} with {counts[least]:,}; imbalance "
        f"ratio {ratio:.4g}, Gini coefficient {gini(counts):.2f}; "
        f"{stats.describe_groups()}",
        "" if has_groups or ratio < _EVEN else _BY_GROUPS.format(_metric(context)),
    )


def _metric(context: DoctorContext) -> str:
    """Return the metric of this library for what the config judges by."""
    names = {type(metric).__name__ for metric in context.metrics.get("val", ())}
    if "VOCMetric" in names:
        return "VOCMetric'"
    return ("LVISMetric" if "LVISMetric" in names else "CocoMetric") + "', ann_file=..."


def check_untrained_classes(context: DoctorContext) -> Iterator[Finding]:
    """Find classes without a training box: a warning where an evaluation has some.

    Args:
        context: With counts of the training set.
    """
    stats = context.class_stats
    if stats is None:
        return
    absent = stats.instance_count == 0
    if absent.all():  # another matter, and an error
        return
    judged = np.zeros(len(absent), bool)
    for split in EVALUATED:
        if (counts := counts_of(context, split)) is not None:
            judged |= counts > 0
    for severity, chosen, where in (
        (Severity.WARNING, absent & judged, ", but boxes in the evaluation"),
        (Severity.INFO, absent & ~judged, ""),
    ):
        if chosen.any():
            names = [stats.classes[label] for label in np.flatnonzero(chosen)]
            yield Finding(
                "no_training_box",
                severity,
                f"classes without a box in the training set{where}",
                context.files("train"),
                f"{len(names)}: {and_more(names)}",
                "Add images that show them, or take them out of "
                "`metainfo=dict(classes=...)` of all data sets",
            )
