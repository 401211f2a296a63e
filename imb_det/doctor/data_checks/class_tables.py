"""What the classes of a split are in the training: counts under its labels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from imb_det.doctor.context import DoctorContext
from imb_det.prior.boxes import TrainingBoxes
from imb_det.statistics.dataset_access import leaf_datasets

__all__ = ["EVALUATED", "class_names_of", "counts_of", "label_of", "table_of"]

#: Splits that figures come from.
EVALUATED = ("val", "test")


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
