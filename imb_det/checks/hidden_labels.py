"""Labels of the training set that its pipeline hides from the training."""

from __future__ import annotations

from collections.abc import Iterator

from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity
from imb_det.statistics.dataset_access import dataset_nodes, leaf_datasets
from imb_det.statistics.shown_labels import hides_labels

__all__ = ["check_hidden_labels"]


def check_hidden_labels(context: CheckContext) -> Iterator[Finding]:
    """Find parts whose labels are hidden, and what goes by these labels all the same.

    Args:
        context: With a training set.
    """
    if "train" not in context.datasets:
        return
    dataset = context.datasets["train"]
    leaves = leaf_datasets(dataset)
    hidden = [leaf for leaf in leaves if hides_labels(leaf)]
    for leaf in hidden:
        yield Finding(
            "labels_hidden",
            Severity.INFO,
            "the pipeline hides the labels of a part of the training set, so that its "
            "images count as such without boxes",
            str(getattr(leaf, "ann_file", "") or type(leaf).__name__),
            f"{len(leaf)} images",
        )
    if hidden and len(hidden) == len(leaves):
        yield Finding(
            "no_labels",
            Severity.ERROR,
            "the pipeline hides the labels of the whole training set: there is nothing "
            "to learn from or to count",
            "`train_dataloader`",
            remedy="Set `dict(type='LoadAnnotations', with_bbox=True)` in the pipeline "
            "of the labelled images",
        )
    for node in dataset_nodes(dataset):
        repeated = hasattr(node, "repeat_indices") and map(
            hides_labels, leaf_datasets(node)
        )
        if repeated and any(repeated):
            yield Finding(
                "repeats_hidden",
                Severity.WARNING,
                "a wrapper repeats images by labels that the pipeline hides",
                type(node).__name__,
                remedy="Wrap the labelled part alone",
            )
