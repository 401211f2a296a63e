"""Classes of the data sets: how many there are for heads, and their order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmdet.models.dense_heads import RPNHead
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.reid import LinearReIDHead
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.models.roi_heads.mask_heads import FCNMaskHead, FusedSemanticHead
from mmdet.models.seg_heads.base_semantic_head import BaseSemanticHead
from mmdet.models.seg_heads.panoptic_fusion_heads import BasePanopticFusionHead
from mmengine.model import BaseModule
from torch import nn

from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity
from imb_det.core.text import and_more
from imb_det.statistics import leaf_datasets
from imb_det.statistics.segments import thing_classes

__all__ = ["check_class_order", "check_num_classes"]

#: Heads whose `num_classes` is about something else than the boxes' classes.
_OTHER_HEADS = (
    RPNHead,
    FusedSemanticHead,
    BaseSemanticHead,
    BasePanopticFusionHead,
    LinearReIDHead,
)


def check_num_classes(context: CheckContext) -> Iterator[Finding]:
    """Find heads that are built for another number of classes than a data set has.

    Region proposal heads and class-agnostic masks know no classes; data sets that
    hand the class names over as text (``return_classes``) leave them open. With a
    panoptic set, heads for boxes may be built for its ``thing_classes`` alone.

    Args:
        context: With a model and data sets.
    """
    if context.model is None:
        return
    splits: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for split, dataset in context.datasets.items():
        names = _class_names(dataset)
        if names[0]:
            splits.setdefault(names, []).append(split)
    for (classes, things), used_by in splits.items():
        for name, module in context.model.named_modules():
            yield from _of_stuff(name, module, classes, things, used_by)
            number = getattr(module, "num_classes", None)
            if not isinstance(number, int) or not _is_detection_head(name, module):
                continue
            # A head that knows of stuff counts it among its classes.
            is_all = hasattr(module, "num_stuff_classes") or not things
            names_of_head = classes if is_all else things
            if number in (len(names_of_head), len(classes)):
                continue
            yield Finding(
                "num_classes",
                Severity.ERROR,
                "a head is built for another number of classes than the data have",
                f"`{name}` ({type(module).__name__})",
                f"has num_classes={number}, but the data set ({' and '.join(used_by)}) "
                f"has {len(names_of_head)} classes: {and_more(names_of_head, 10)}",
                f"Set `num_classes={len(names_of_head)}` in the head, or the right "
                "classes in `metainfo` of the data sets",
            )


def _of_stuff(
    name: str,
    module: Any,
    classes: tuple[str, ...],
    things: tuple[str, ...],
    used_by: list[str],
) -> Iterator[Finding]:
    """Find heads built for other things and stuff, or for things that come later."""
    keys = ("num_things_classes", "num_stuff_classes")
    numbers = tuple(getattr(module, key, None) for key in keys)
    if not things or not all(isinstance(number, int) for number in numbers):
        return
    wanted = (len(things), len(classes) - len(things))
    where = f"`{name}` ({type(module).__name__})"
    if numbers != wanted and numbers != (len(classes), 0):
        yield Finding(
            "num_classes",
            Severity.ERROR,
            "a head is built for another number of things or stuff than the data have",
            where,
            f"has {keys[0]}={numbers[0]} and {keys[1]}={numbers[1]}, but the data set "
            f"({' and '.join(used_by)}) has {wanted[0]} things and {wanted[1]} classes "
            "of stuff",
            f"Set `{keys[0]}={wanted[0]}` and `{keys[1]}={wanted[1]}`, or the right "
            "classes in `metainfo` of the data sets",
        )
    elif set(classes[: len(things)]) != set(things):
        yield Finding(
            "things_first",
            Severity.ERROR,
            "a head takes the first labels for things, and they are not",
            where,
            f"the classes of the data set ({' and '.join(used_by)}) begin with "
            f"{and_more(classes[: len(things)], 10)}, and the things are "
            f"{and_more(things, 10)}",
            "Put things first in `metainfo['classes']`, and stuff after them",
        )


def check_class_order(context: CheckContext) -> Iterator[Finding]:
    """Find data sets with the classes of the training in another order.

    Labels are places in the list of names, so that every detection would be judged as
    one of another class.

    Args:
        context: With data sets and counts of the training set.
    """
    if context.class_stats is None:
        return
    trained = context.class_stats.classes
    for split, dataset in context.datasets.items():
        names, _ = _class_names(dataset)
        if names == trained or sorted(names) != sorted(trained):
            continue
        pairs = enumerate(zip(trained, names, strict=True))
        at, (ours, theirs) = next((i, pair) for i, pair in pairs if pair[0] != pair[1])
        yield Finding(
            "class_order",
            Severity.ERROR,
            "a data set has the classes of the training in another order",
            f"`{split}_dataloader`",
            f"label {at} is {ours!r} in the training, but {theirs!r} there",
            f"Set `metainfo=dict(classes={and_more(trained, 10)})` in all data sets",
        )


def _class_names(dataset: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return all classes and those of things; nothing where any number will do."""
    leaves = leaf_datasets(dataset)
    metainfo = getattr(dataset, "metainfo", {})
    if not isinstance(metainfo, Mapping):  # a concatenation of unlike parts has a list
        metainfo = getattr(leaves[0], "metainfo", {})
    classes = tuple(metainfo.get("classes") or ())
    things = tuple(metainfo.get("thing_classes") or ())
    if not set(things) <= set(classes):  # left over from another list of classes
        things = thing_classes(dataset)
    if any(getattr(leaf, "return_classes", False) for leaf in leaves):
        return (), ()
    return classes, things


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
