"""How uneven the classes are, and which have nothing to learn from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from imb_det.core.finding import Finding, Severity
from imb_det.core.text import and_more
from imb_det.doctor.context import DoctorContext
from imb_det.hooks import ImbalanceHook
from imb_det.statistics.imbalance_measures import gini, imbalance_ratio

from .class_tables import EVALUATED, counts_of, objects_of

__all__ = ["check_class_balance", "check_untrained_classes"]

#: Metrics of mmdet that this library has by the same name, with groups of classes.
_OWN_METRICS = ("CocoMetric", "LVISMetric", "VOCMetric", "SemSegMetric")
_EVEN = 10  # imbalance ratio below which nobody asks for groups
_BY_GROUPS = (
    "Read figures by groups of classes: write `type='imb_det.{}'` into `val_evaluator`,"
    " `custom_hooks=[dict(type='imb_det.ImbalanceHook')]` and "
    "`custom_imports=dict(imports=['imb_det'])`"
)


def check_class_balance(context: DoctorContext) -> Iterator[Finding]:
    """Tell counts, groups, imbalance ratio and Gini coefficient of the training set.

    Args:
        context: With counts of the training set.
    """
    stats = context.class_stats
    if stats is None or not stats.instance_count.sum():
        return
    (counts, _, many), names = objects_of(stats), stats.classes
    seen = np.flatnonzero(counts)
    most, least = (int(seen[place(counts[seen])]) for place in (np.argmax, np.argmin))
    ratio = imbalance_ratio(counts)
    has_groups = any(isinstance(hook, ImbalanceHook) for hook in context.hooks)
    yield Finding(
        "class_balance",
        Severity.INFO,
        f"how the {many} of the training set are spread over its classes",
        context.files("train"),
        f"{len(seen)} of {len(names)} classes have {counts.sum():,} {many} in "
        f"{stats.num_images:,} images; most has {names[most]!r} with "
        f"{counts[most]:,}, fewest {names[least]!r} with {counts[least]:,}; imbalance "
        f"ratio {ratio:.4g}, Gini coefficient {gini(counts):.2f}; "
        f"{stats.describe_groups()}",
        "" if has_groups or ratio < _EVEN else _by_groups(context),
    )


def _by_groups(context: DoctorContext) -> str:
    """Return how to read figures by groups; nothing where no metric has them."""
    metrics = [m for each in context.metrics.values() for m in each]
    kinds = [type(metric).__name__ for metric in metrics] or ["CocoMetric"]
    known = [kind for kind in kinds if kind in _OWN_METRICS]
    return _BY_GROUPS.format(known[0]) if known else ""


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
    _, one, many = objects_of(stats)
    for severity, chosen, where in (
        (Severity.WARNING, absent & judged, f", but {many} in the evaluation"),
        (Severity.INFO, absent & ~judged, ""),
    ):
        if chosen.any():
            names = [stats.classes[label] for label in np.flatnonzero(chosen)]
            yield Finding(
                "no_training_box",
                severity,
                f"classes without a {one} in the training set{where}",
                context.files("train"),
                f"{len(names)}: {and_more(names)}",
                "Add images that show them, or take them out of "
                "`metainfo=dict(classes=...)` of all data sets",
            )
