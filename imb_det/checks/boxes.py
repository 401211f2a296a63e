"""Boxes of the training set."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from mmdet.datasets import CocoDataset, XMLDataset

from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity
from imb_det.datasets.annotation_files import is_read_by_mmdet
from imb_det.datasets.audited_dataset import faulty_boxes
from imb_det.statistics.dataset_access import leaf_datasets

__all__ = ["check_boxes"]


def check_boxes(context: CheckContext) -> Iterator[Finding]:
    """Find training boxes with which the box loss is infinite or not a number.

    Data sets of this library remove and report them by themselves, and
    :func:`~.annotation_files.check_annotation_files` looks at the files of mmdet's data
    sets of COCO and LVIS.

    Args:
        context: With a training set.
    """
    if "train" not in context.datasets:
        return
    leaves = leaf_datasets(context.datasets["train"])
    others = [leaf for leaf in leaves if not is_read_by_mmdet(type(leaf))]
    for leaf, found in chain.from_iterable(map(faulty_boxes, others)):
        name = type(leaf).__name__
        if isinstance(leaf, XMLDataset):
            remedy = "Use `type='imb_det.VOCDataset'`, which removes and reports them"
        elif isinstance(leaf, CocoDataset):
            remedy = "Use `type='imb_det.CocoDataset'`, which removes and reports them"
        else:
            remedy = f"Remove them in `{name}.load_data_list`"
        yield Finding(
            "unusable_box",
            Severity.ERROR,
            "training boxes have no area, lie outside their image or are not finite: "
            "they would turn the box loss into inf or nan without a word",
            found.where,
            f"{found.evidence}, read by {name} from {getattr(leaf, 'ann_file', '?')}",
            remedy,
        )
