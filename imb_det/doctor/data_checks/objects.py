"""Images without objects, and objects that are ignored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from imb_det.core.finding import Finding, Severity
from imb_det.datasets.audited_dataset import AuditedDataset
from imb_det.doctor.context import DoctorContext
from imb_det.evaluation.metric_files import judges
from imb_det.statistics.dataset_access import leaf_datasets
from imb_det.statistics.shown_labels import hides_labels

from .class_tables import class_names_of

__all__ = [
    "check_empty_images",
    "check_ignored_objects",
    "dropped_images",
]

_NOT_BACKGROUND = (
    "Set `filter_cfg=dict(filter_empty_gt=True)` in the data set, if they are not "
    "background but images that nobody has labelled"
)

_BY_SIZE = (
    "images that the filter drops, as they are smaller than `min_size`",
    "Take `min_size` out of `filter_cfg` in the data set to train on them",
)
_BY_OBJECTS = (
    "images that the filter drops, as they hold no object of the classes, or are too "
    "small",
    "Set `filter_cfg=dict(filter_empty_gt=False)` in the data set to train on them as "
    "background",
)
_REMEDY_OF_FILTER = (
    "Take `bbox_min_size={}` out of `filter_cfg` to learn small objects as any other"
)
_REMEDY_OF_FLAGS = (
    "Set `iscrowd`, `ignore` or `difficult` to 0 in the annotations where they are "
    "objects as any other"
)


def check_empty_images(context: DoctorContext) -> Iterator[Finding]:
    """Tell how many images of a split hold no object.

    Args:
        context: With data sets.
    """
    for split, table in context.boxes.items():
        leaves = leaf_datasets(context.datasets[split])
        sizes = [len(leaf) for leaf in leaves]
        # What the pipeline hides is no background.
        shown = np.repeat([not hides_labels(leaf) for leaf in leaves], sizes)
        holds = np.bincount(table.image, minlength=len(table)) > 0
        total = int(shown.sum())
        number = int((shown & ~holds).sum())
        metrics = context.metrics.get(split, ())
        unjudged = bool(metrics) and not any(map(judges, metrics))
        is_secret = unjudged or (split != "train" and number == total)  # as of a test
        if number and not is_secret:
            yield Finding(
                "images_without_objects",
                Severity.INFO,
                "images without an object, which are there as background",
                context.files(split),
                f"{number:,} of {total:,} images ({number / total:.1%})",
                _NOT_BACKGROUND if split == "train" else "",
            )
        for leaf in leaves:
            if isinstance(leaf, AuditedDataset):
                yield from dropped_images(leaf, leaf.audit.num_listed)


def dropped_images(leaf: Any, listed: int) -> Iterator[Finding]:
    """Tell how many images the filter of a data set drops.

    Args:
        leaf: Data set.
        listed: Images that its annotation file lists.
    """
    config = getattr(leaf, "filter_cfg", None) or {}
    if leaf.test_mode or leaf._indices is not None:
        return
    by_objects = bool(config.get("filter_empty_gt"))
    what, remedy = _BY_OBJECTS if by_objects else _BY_SIZE
    if number := listed - len(leaf):
        yield Finding(
            "images_without_objects" if by_objects else "small_images",
            Severity.INFO,
            what,
            str(leaf.ann_file),
            f"{number:,} of {listed:,} images ({number / listed:.1%}), by "
            f"filter_cfg={dict(config)}",
            remedy,
        )


def check_ignored_objects(context: DoctorContext) -> Iterator[Finding]:
    """Tell which share of the objects are crowds, difficult or otherwise ignored.

    Args:
        context: With data sets.
    """
    for split, table in context.boxes.items():
        if not (number := int(table.ignored.sum())):
            continue
        names = class_names_of(context, split)
        every = np.bincount(table.labels, minlength=len(names))
        own = np.bincount(table.labels[table.ignored], minlength=len(names))
        share = own / np.maximum(every, 1)
        worst = int(share.argmax())
        least = _least_side(context, split)
        name = names[worst] if worst < len(names) else f"class {worst}"
        yield Finding(
            "ignored_objects",
            Severity.INFO,
            "objects that are marked crowd, difficult or `ignore`: nothing is learned "
            "from them, and an evaluation does not count them",
            context.files(split),
            f"{number:,} of {len(table.labels):,} objects "
            f"({number / len(table.labels):.1%}); most of {name!r}: {own[worst]} of "
            f"{every[worst]}" + f"; filter_cfg has bbox_min_size={least}" * bool(least),
            _REMEDY_OF_FILTER.format(least) if least else _REMEDY_OF_FLAGS,
        )


def _least_side(context: DoctorContext, split: str) -> float | None:
    """Return below which side a VOC set ignores boxes, whatever their file says."""
    leaves = leaf_datasets(context.datasets[split])
    found = [getattr(leaf, "bbox_min_size", None) for leaf in leaves]
    return next((least for least in found if least), None)
