"""Objects that are there twice: one class, one image, and nearly one box."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from imb_det.core.finding import Finding, Severity
from imb_det.core.text import and_more
from imb_det.doctor.context import DoctorContext
from imb_det.prior.boxes import TrainingBoxes
from imb_det.statistics.dataset_access import name_of_image

from .class_tables import table_of

__all__ = ["check_repeated_objects", "same_objects"]

_LEAST = 0.95  # overlap of two boxes of one object


def check_repeated_objects(context: DoctorContext) -> Iterator[Finding]:
    """Find objects of one class in one image whose boxes overlap by more than 0.95.

    Equal boxes are a warning; others may be two objects, one behind the other.

    Args:
        context: With data sets.
    """
    for split, dataset in context.datasets.items():
        table = table_of(context, split)
        if table is None or not len(pairs := same_objects(table)):
            continue
        images = np.unique(table.image[pairs[:, 0]])
        is_equal = (table.boxes[pairs[:, 0]] == table.boxes[pairs[:, 1]]).all(1)
        names = [name_of_image(dataset, image) for image in images[:5].tolist()]
        yield Finding(
            "repeated_object",
            Severity.WARNING if is_equal.any() else Severity.INFO,
            "objects that are there twice, with one class and nearly one box: of two "
            "detections of them the second is no mistake, though it seems one",
            context.files(split),
            f"{len(np.unique(pairs)):,} objects in {len(images):,} images, "
            f"{is_equal.sum():,} pairs with equal boxes: {and_more(names)}",
            "Take the copies out of the annotations",
        )


def same_objects(table: TrainingBoxes, least: float = _LEAST) -> np.ndarray:
    """Return the pairs of boxes that stand for one object.

    Args:
        table: Boxes that count.
        least: Overlap from which on two boxes of a class are one, exclusive.

    Returns:
        Rows of the table, int64 (k, 2).
    """
    order = np.lexsort([table.labels, table.image])
    image, label = table.image[order], table.labels[order]
    boxes = table.boxes[order].astype(np.float64)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    pairs = [np.zeros((0, 2), np.int64)]
    one: np.ndarray = np.arange(len(order))
    for step in range(1, len(order)):
        # Where the row some places on is another class, those behind it are so too.
        one = one[: np.searchsorted(one, len(order) - step)]
        other = one + step
        same = (image[other] == image[one]) & (label[other] == label[one])
        one, other = one[same], other[same]
        if not len(one):
            break
        low = np.maximum(boxes[one, :2], boxes[other, :2])
        high = np.minimum(boxes[one, 2:], boxes[other, 2:])
        inside = np.prod(np.maximum(high - low, 0), axis=1)
        near = inside > least * (areas[one] + areas[other] - inside)
        pairs.append(np.column_stack([order[one[near]], order[other[near]]]))
    return np.concatenate(pairs)
