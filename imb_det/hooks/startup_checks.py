"""Checks of model and boxes that must pass before the first iteration."""

from __future__ import annotations

from typing import Any

from mmdet.datasets import CocoDataset, XMLDataset
from mmdet.models.dense_heads import RPNHead
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from torch import nn

from imb_det.datasets.audited_dataset import faulty_boxes
from imb_det.statistics import leaf_datasets

__all__ = ["check_boxes", "check_num_classes"]

_NAMED = 5  # boxes that a message names


def check_num_classes(model: nn.Module, dataset: Any) -> None:
    """Refuse heads that are built for another number of classes than the data set's.

    Region proposal heads and class-agnostic masks know no classes; data sets that
    hand the class names over as text (``return_classes``) leave them open.

    Raises:
        ValueError: Names the head and both numbers.
    """
    classes = getattr(dataset, "metainfo", {}).get("classes") or ()
    is_open = any(
        getattr(leaf, "return_classes", False) for leaf in leaf_datasets(dataset)
    )
    if not classes or is_open:
        return
    for name, module in model.named_modules():
        if not isinstance(module, (BaseDenseHead, BBoxHead, FCNMaskHead)):
            continue
        if isinstance(module, RPNHead) or "rpn_head" in name.split("."):
            continue
        if isinstance(module, FCNMaskHead) and module.class_agnostic:
            continue
        num_classes = getattr(module, "num_classes", None)
        if isinstance(num_classes, int) and num_classes != len(classes):
            raise ValueError(
                f"`{name}` ({type(module).__name__}) has num_classes={num_classes}, "
                f"but the data set has {len(classes)} classes: {tuple(classes)}. Set "
                f"`num_classes={len(classes)}` in the head, or the right classes in "
                "`metainfo` of the data sets"
            )


def check_boxes(dataset: Any) -> None:
    """Refuse training boxes with which the box loss is infinite or not a number.

    Raises:
        ValueError: Names the first files and boxes, and the data set to use.
    """
    found = list(faulty_boxes(dataset))
    if not found:
        return
    leaf = found[0][0]
    name, ann_file = type(leaf).__name__, getattr(leaf, "ann_file", "?")
    if isinstance(leaf, XMLDataset):
        remedy = "Use `type='imb_det.VOCDataset'`, which removes and reports them"
    elif isinstance(leaf, CocoDataset):
        remedy = "Use `type='imb_det.CocoDataset'`, which removes and reports them"
    else:
        remedy = f"Remove them in `{name}.load_data_list`"
    lines = [f"  {finding}" for _, finding in found[:_NAMED]]
    if len(found) > _NAMED:
        lines.append(f"  ... and {len(found) - _NAMED} more")
    raise ValueError(
        f"{len(found)} training boxes that {name} read from {ann_file} have no area or "
        "are not finite: they would turn the box loss into inf or nan without a word. "
        f"{remedy}.\n" + "\n".join(lines)
    )
