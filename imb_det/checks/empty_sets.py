"""Data sets without an image, or without a box."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity
from imb_det.core.text import and_more
from imb_det.datasets.audited_dataset import AuditedDataset
from imb_det.evaluation.metric_files import judges
from imb_det.statistics.dataset_access import iter_data_infos, leaf_datasets
from imb_det.statistics.shown_labels import hides_labels

__all__ = ["check_empty_sets"]


def check_empty_sets(context: CheckContext) -> Iterator[Finding]:
    """Find data sets in which there is nothing to train on, or nothing to find.

    A training without images ends at once, or never; an evaluation without boxes has
    figures of 0 or -1. Both follow from class names that are none of the annotations'.

    Args:
        context: With data sets.
    """
    for split, dataset in context.datasets.items():
        leaves = leaf_datasets(dataset)
        if not leaves:
            continue
        of_leaves = sum(map(len, leaves))
        is_empty = not (len(dataset) if hasattr(dataset, "__len__") else of_leaves)
        metrics = context.metrics.get(split, ())
        needs_none = all(map(hides_labels, leaves))
        # The objects of some test sets are secret.
        needs_none |= bool(metrics) and not any(map(judges, metrics))
        if not is_empty and (needs_none or _has_boxes(dataset)):
            continue
        is_error = is_empty or split == "train"
        files = [
            getattr(leaf, "ann_file", "") or type(leaf).__name__ for leaf in leaves
        ]
        classes = getattr(leaves[0], "metainfo", {}).get("classes")
        remedy = "Compare `metainfo['classes']` with the names in the annotations"
        if not all(isinstance(leaf, AuditedDataset) for leaf in leaves):
            remedy += (
                "; `imb_det.CocoDataset` and `imb_det.VOCDataset` tell what is left out"
            )
        yield Finding(
            "empty_set",
            Severity.ERROR if is_error else Severity.WARNING,
            "a data set has no image" if is_empty else "a data set has no box",
            f"`{split}_dataloader`",
            f"{and_more(files, quoted=False)}, for the classes {classes}",
            remedy,
        )


def _has_boxes(dataset: Any) -> bool:
    """Tell whether a box is there that is not ignored; looks no further.

    Sets of another kind, as of videos or of maps of classes, are not judged.
    """
    return any(
        "instances" not in info
        or not all(instance.get("ignore_flag") for instance in info["instances"])
        for info in iter_data_infos(dataset)
    )
