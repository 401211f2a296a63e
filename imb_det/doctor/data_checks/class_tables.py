"""What the classes of a split are in the training: counts under its labels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from imb_det.doctor.context import DoctorContext
from imb_det.prior.boxes import TrainingBoxes
from imb_det.statistics import ClassStats
from imb_det.statistics.dataset_access import leaf_datasets

__all__ = [
    "EVALUATED",
    "class_names_of",
    "counts_of",
    "is_thing",
    "label_of",
    "objects_of",
    "table_of",
]

#: Splits that figures come from.
EVALUATED = ("val", "test")


def objects_of(stats: ClassStats) -> tuple[np.ndarray, str, str]:
    """Return how much a set has of each class, and what it is, one and many of it.

    Boxes; segments in a panoptic set, where stuff has no boxes; pixels in a semantic
    one.

    Args:
        stats: Counts of a training set.
    """
    if stats.thing_classes:
        return stats.instance_count, "segment", "segments"
    if stats.pixel_count is not None:
        return stats.pixel_count, "pixel", "pixels"
    return stats.instance_count, "box", "boxes"


def table_of(context: DoctorContext, split: str) -> TrainingBoxes | None:
    """Return the boxes of a split that count; None where it is absent, or has none."""
    return context.counted(split) if split in context.boxes else None


def counts_of(context: DoctorContext, split: str) -> np.ndarray | None:
    """Count the boxes of each class of the training in another split.

    Args:
        context: With counts of the training set.
        split: Whose classes may stand in another order.

    Returns:
        Int64 (C,); None where the split or the classes are not known.
    """
    table = table_of(context, split)
    if table is None or not context.classes:
        return None
    labels = label_of(context, split)[table.labels]
    return np.bincount(labels[labels >= 0], minlength=len(context.classes))


def is_thing(context: DoctorContext) -> np.ndarray:
    """Tell which classes have boxes, and are not the stuff of a panoptic set, (C,)."""
    things = context.class_stats.thing_classes if context.class_stats else ()
    return np.array([not things or name in things for name in context.classes], bool)


def label_of(context: DoctorContext, split: str) -> np.ndarray:
    """Return the training's label of each label of a split, -1 for other classes."""
    own = {name: label for label, name in enumerate(context.classes)}
    names = class_names_of(context, split)
    most = int(context.boxes[split].labels.max(initial=-1)) + 1
    found = [own.get(name, -1) for name in names]
    return np.array(found + [-1] * (most - len(found)), np.int64)


def class_names_of(context: DoctorContext, split: str) -> list[str]:
    """Return the names of the labels of a split; none where they are not known."""
    leaf = leaf_datasets(context.datasets[split])[0]
    metainfo = getattr(leaf, "metainfo", {})
    classes = metainfo.get("classes") if isinstance(metainfo, Mapping) else None
    return list(map(str, classes or ()))
