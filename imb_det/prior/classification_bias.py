"""Heads and layers that can start at a prior."""

from __future__ import annotations

import math
from typing import Any

import torch
from mmdet.models.dense_heads import (
    AnchorHead,
    ATSSHead,
    FCOSHead,
    FreeAnchorRetinaHead,
    GFLHead,
    GuidedAnchorHead,
)
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.models.task_modules.samplers import PseudoSampler
from torch import Tensor, nn

from .query_prior import check_queries, has_queries, query_biases

__all__ = [
    "classification_layers",
    "find_biases",
    "find_head",
    "is_countable",
    "roi_bias",
    "why_uncountable",
]

#: Their targets depend on boxes alone, not on predictions.
_COUNTABLE = (AnchorHead, ATSSHead, FCOSHead, GFLHead)
#: Why heads cannot be counted, by the name of their class or a base.
_WHY = {
    "RTMDetHead": "which chooses positives by its predictions from the start",
    "YOLOXHead": "which chooses positives by its predictions, and trains its classes "
    "on them alone",
    "YOLOV3Head": "which trains its classes on positives alone",
    "TOODHead": "whose score is the mean of two outputs, and which chooses positives "
    "by its predictions after the first epochs",
    "MaskFormerHead": "which classifies with softmax",
    "CenterNetHead": "which has heatmaps",
    "CornerHead": "which has heatmaps",
}
#: They inherit targets from ``AnchorHead`` that their losses do not take as they are.
_WITH_OTHER_LOSSES = (FreeAnchorRetinaHead, GuidedAnchorHead)


def find_head(model: nn.Module, path: str, foreground_share: float | None) -> nn.Module:
    """Return the head at a dotted path, checked for what a prior needs.

    Args:
        model: Detector.
        path: Names of its parts, joined by dots.
        foreground_share: Of a RoI head; None for a head that is counted.

    Raises:
        TypeError, ValueError: No such head, or none of this kind; what would do.
    """
    try:
        head = model.get_submodule(path)
    except AttributeError as error:
        names = [name for name, _ in model.named_children()]
        raise ValueError(
            f"PriorInitHook: {type(model).__name__} has no part `head='{path}'`; its "
            f"parts are {names}"
        ) from error
    kind = type(head).__name__
    is_roi_head = isinstance(head, BBoxHead)
    if is_roi_head != (foreground_share is not None):
        raise ValueError(
            f"PriorInitHook: `{path}` is a {kind} and `foreground_share` is "
            f"{foreground_share}; RoI heads need it, whose proposals cannot be counted "
            "before training, and other heads are counted"
        )
    if is_roi_head:
        return head
    if has_queries(head):
        check_queries(model, head, path)
        return head
    if not is_countable(head):
        kinds = ", ".join(each.__name__ for each in _COUNTABLE)
        why = why_uncountable(type(head))
        raise TypeError(
            f"PriorInitHook cannot count for {kind}{why}: it needs a head "
            f"with the targets of mmdet's {kinds}, which depend on boxes alone, or "
            "heads of queries"
        )
    sampler = getattr(head, "sampler", None)
    if not isinstance(sampler, (PseudoSampler, type(None))):
        raise ValueError(
            f"PriorInitHook: `{path}` trains on what {type(sampler).__name__} picks, "
            "but the prior is that of all candidates; set its `train_cfg.sampler` to "
            "`dict(type='PseudoSampler')`"
        )
    if not getattr(head, "use_sigmoid_cls", False):
        raise TypeError(
            f"PriorInitHook: {kind} classifies with softmax; the prior is derived for "
            "independent sigmoids (`use_sigmoid=True` in `loss_cls`)"
        )
    return head


def is_countable(head: nn.Module) -> bool:
    """Tell whether the targets of a head depend on boxes alone, in a known way."""
    known = any(_targets(type(head)) == _targets(each) for each in _COUNTABLE)
    return known and not isinstance(head, _WITH_OTHER_LOSSES)


def why_uncountable(kind: type) -> str:
    """Say what the positives of a head's class depend on, where that is known."""
    names = [base.__name__ for base in kind.__mro__]
    return next((f", {_WHY[name]}" for name in names if name in _WHY), "")


def _targets(kind: type) -> list[Any]:
    """Return the methods that make the targets of a head's class."""
    return [
        getattr(kind, name, None) for name in ("get_targets", "_get_targets_single")
    ]


def classification_layers(head: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    """Return the layers of a head that classify, by name; not those of box buckets."""
    return {
        name: child
        for name, child in head.named_children()
        if isinstance(child, (nn.Conv2d, nn.Linear))
        and name.endswith("cls")
        and not name.endswith("bbox_cls")
    }


def find_biases(head: nn.Module, path: str, name: str | None) -> dict[str, Tensor]:
    """Return the bias of the classification layer of that name, or of the only one.

    Heads of queries have one for each decoder layer.

    Args:
        head: From :func:`find_head`.
        path: Its path, for the message and the result.
        name: None, or the name of the layer inside the head.

    Returns:
        Biases by their dotted path inside the model.

    Raises:
        ValueError: No such layer, or one without bias.
    """
    if has_queries(head):
        if name is not None:
            raise ValueError(
                f"PriorInitHook: `{path}` ({type(head).__name__}) classifies queries, "
                f"in each decoder layer; leave `layer={name!r}` out"
            )
        return {f"{path}.{key}": bias for key, bias in query_biases(head).items()}
    layers = classification_layers(head)
    if name is None and len(layers) == 1:
        name = next(iter(layers))
    if name not in layers:
        raise ValueError(
            f"PriorInitHook: `layer` is {name!r}, and the classification layers of "
            f"`{path}` are {list(layers)}; name one of them"
        )
    bias = layers[name].bias
    if bias is None:
        raise ValueError(f"PriorInitHook: `{path}.{name}` has no bias to initialise")
    return {f"{path}.{name}.bias": bias}


def roi_bias(head: Any, share: float) -> Tensor:
    r"""Return the bias with which a RoI head starts at a share s of positives.

    .. math:: b_c = 0, \quad b_{bg} = \log \frac{C (1 - s)}{s}

    with softmax, and :math:`b_c = -\log(C / s - 1)` with C independent sigmoids.

    Args:
        head: mmdet ``BBoxHead``.
        share: s, in (0, 1).

    Returns:
        One number for each column of the classifier.

    Raises:
        TypeError: The classifier has other columns than C, or C + 1 with softmax.
    """
    classes, columns = int(head.num_classes), int(head.fc_cls.out_features)
    if columns == classes:
        return torch.full((columns,), -math.log(classes / share - 1))
    if columns != classes + 1 or getattr(head.loss_cls, "use_sigmoid", False):
        raise TypeError(
            f"PriorInitHook: {type(head).__name__} has {columns} columns for {classes} "
            f"classes with {type(head.loss_cls).__name__}; a prior is defined for "
            f"softmax with {classes + 1} columns and sigmoid with {classes}"
        )
    bias = torch.zeros(columns)
    bias[-1] = math.log(classes * (1 - share) / share)
    return bias
