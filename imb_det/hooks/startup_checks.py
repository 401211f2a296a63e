"""Checks of model and boxes that must pass before the first iteration."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mmdet.datasets import CocoDataset, XMLDataset
from mmdet.models.dense_heads import DETRHead, RPNHead
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.reid import LinearReIDHead
from mmdet.models.roi_heads import BaseRoIHead
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.models.roi_heads.mask_heads import FCNMaskHead, FusedSemanticHead
from mmdet.models.seg_heads.base_semantic_head import BaseSemanticHead
from mmdet.models.seg_heads.panoptic_fusion_heads import BasePanopticFusionHead
from mmengine.hooks import CheckpointHook, EarlyStoppingHook, Hook
from mmengine.model import BaseModule
from torch import nn

from imb_det.datasets.audited_dataset import faulty_boxes
from imb_det.losses import ImbalanceLoss
from imb_det.statistics import leaf_datasets

__all__ = [
    "check_activations",
    "check_boxes",
    "check_num_classes",
    "check_samplers",
    "check_watched",
]

_NAMED = 5  # boxes that a message names
#: Heads whose `num_classes` is about something else than the boxes' classes.
_OTHER_HEADS = (
    RPNHead,
    FusedSemanticHead,
    BaseSemanticHead,
    BasePanopticFusionHead,
    LinearReIDHead,
)


def check_num_classes(model: nn.Module, dataset: Any) -> None:
    """Refuse heads that are built for another number of classes than the data set's.

    Region proposal heads and class-agnostic masks know no classes; data sets that
    hand the class names over as text (``return_classes``) leave them open. With a
    panoptic set, heads for boxes may be built for its ``thing_classes`` alone.

    Raises:
        ValueError: Names the head and both numbers.
    """
    metainfo = getattr(dataset, "metainfo", {})
    classes = metainfo.get("classes") or ()
    things = metainfo.get("thing_classes") or ()
    if not set(things) <= set(classes):  # left over from another list of classes
        things = ()
    is_open = any(
        getattr(leaf, "return_classes", False) for leaf in leaf_datasets(dataset)
    )
    if not classes or is_open:
        return
    for name, module in model.named_modules():
        num_classes = getattr(module, "num_classes", None)
        if not isinstance(num_classes, int) or not _is_detection_head(name, module):
            continue
        # A head that knows of stuff counts it among its classes.
        names = classes if hasattr(module, "num_stuff_classes") else things or classes
        if num_classes in (len(names), len(classes)):
            continue
        raise ValueError(
            f"`{name}` ({type(module).__name__}) has num_classes={num_classes}, "
            f"but the data set has {len(names)} classes: {tuple(names)}. Set "
            f"`num_classes={len(names)}` in the head, or the right classes in "
            "`metainfo` of the data sets"
        )


def _is_detection_head(name: str, module: nn.Module) -> bool:
    """Tell heads that classify boxes or masks by type or, as users write them, name."""
    parts = [part for part in name.split(".") if not part.isdigit()]
    if isinstance(module, _OTHER_HEADS) or {"rpn_head", "backbone"} & set(parts):
        return False
    if getattr(module, "class_agnostic", False):  # masks
        return False
    if isinstance(module, (BaseDenseHead, BBoxHead, FCNMaskHead)):
        return True
    return isinstance(module, BaseModule) and "".join(parts[-1:]).endswith("head")


def check_activations(model: nn.Module) -> None:
    """Refuse heads that predict with another activation than their loss trains.

    Dense heads take the activation from the config of the loss, not from the loss. Some
    RoI heads have a softmax of their own, whatever the loss.

    Raises:
        ValueError: Names the head and the line that its config lacks.
    """
    for name, module in model.named_modules():
        loss = getattr(module, "loss_cls", None)
        if not isinstance(loss, ImbalanceLoss):
            continue
        kind = type(loss).__name__
        if hasattr(module, "fc_cls") and not isinstance(module, DETRHead):
            channels = getattr(module.fc_cls, "out_features", loss.roi_channels)
            if loss.use_sigmoid and channels != loss.roi_channels:
                raise ValueError(
                    f"`{name}` ({type(module).__name__}) has {channels} channels and "
                    f"predicts with a softmax, whatever its loss: {kind} with "
                    "use_sigmoid=True cannot serve it. Use `use_sigmoid=False`, or a "
                    "head such as Shared2FCBBoxHead"
                )
        mine = getattr(module, "use_sigmoid_cls", None)
        if mine in (None, loss.use_sigmoid):
            continue
        raise ValueError(
            f"`{name}` ({type(module).__name__}) reads `use_sigmoid` from the config "
            f"of its loss and takes it for {mine}, but {kind} trains "
            f"with use_sigmoid={loss.use_sigmoid}: write `use_sigmoid="
            f"{loss.use_sigmoid}` into `loss_cls`"
        )


def check_samplers(model: nn.Module) -> None:
    """Refuse samplers of proposals that a box head cannot do with.

    Raises:
        ValueError: Names the head, its sampler and the one to use.
    """
    for module in model.modules():
        if not isinstance(module, BaseRoIHead) or not module.train_cfg:
            continue
        if not module.with_bbox:
            continue
        heads, cfgs = module.bbox_head, module.train_cfg
        if not isinstance(heads, nn.ModuleList):  # a cascade has one a stage
            heads, cfgs = [heads], [cfgs]
        for head, cfg in zip(heads, cfgs, strict=True):
            if hasattr(head, "check_sampler"):
                head.check_sampler(cfg["sampler"])


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
        f"{len(found)} training boxes that {name} read from {ann_file} have no area, "
        "lie outside their image or are not finite: they would turn the box loss into "
        f"inf or nan without a word. {remedy}.\n" + "\n".join(lines)
    )


def check_watched(hooks: Iterable[Hook], metrics: Iterable[Any]) -> None:
    """Refuse figures to watch that a metric knows it will not report.

    Raises:
        ValueError: Names the figure and what there is.
    """
    keys = []
    for hook in hooks:
        if isinstance(hook, CheckpointHook) and hook.save_best is not None:
            keys += hook.key_indicators
        elif isinstance(hook, EarlyStoppingHook):
            keys.append(hook.monitor)
    for metric in metrics:
        if keys and hasattr(metric, "check_watched"):
            metric.check_watched(keys)
