"""Where a detector makes the logits of its classes, and how they lie there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmdet.models.dense_heads import RPNHead
from mmdet.models.roi_heads.bbox_heads import BBoxHead, MultiInstanceBBoxHead
from torch import nn

from imb_det.heads import experts_of
from imb_det.losses import (
    GumbelLink,
    ImbalanceLoss,
    ScaledSoftmaxLink,
    SigmoidLink,
    SigmoidWithBackgroundLink,
    SoftmaxLink,
    SoftmaxWithObjectnessLink,
)

from .classifier_output import ClassifierOutput

__all__ = ["ClassifierOutput", "class_numbers", "classifier_outputs", "extra_outputs"]

#: Links whose first C outputs are logits of the classes, each by itself.
_LINKS = (
    SigmoidLink,
    SigmoidWithBackgroundLink,
    SoftmaxLink,
    SoftmaxWithObjectnessLink,
)


def classifier_outputs(model: nn.Module) -> list[ClassifierOutput]:
    """Return the outputs that a detector makes the scores of its classes from.

    Heads of proposals and encoders, which know no classes, are none of them.

    Args:
        model: Detector of mmdet.

    Raises:
        TypeError: A head whose classifier is not known, whose outputs are not one
            logit a class, or no head at all.
    """
    found: list[ClassifierOutput] = []
    seen: set[int] = set()
    for path, head in _heads(model):
        # A layer of several heads makes one output.
        own = [
            output for output in _of_head(path, head) if id(output.layer) not in seen
        ]
        seen.update(id(output.layer) for output in own)
        found += own
    if not found:
        raise TypeError(
            f"{type(model).__name__} has no head with a classifier of classes to "
            "calibrate"
        )
    return found


def class_numbers(model: nn.Module) -> list[int]:
    """Return the numbers of classes that the heads of a detector know, ascending.

    Args:
        model: Detector of mmdet.
    """
    found = {int(head.num_classes) for _, head in _heads(model)}
    if not found:  # heads of heatmaps have no loss of classes
        parts = (getattr(part, "num_classes", None) for part in model.modules())
        found = {number for number in parts if isinstance(number, int)}
    return sorted(found)


def extra_outputs(model: nn.Module) -> int:
    """Return how many outputs a classifier has behind those of the classes.

    One of background is usual. Outputs that no calibrator may change, and heads whose
    layers are not known, count too, as long as those of the classes come first.

    Args:
        model: Detector of mmdet.

    Raises:
        TypeError: The outputs are not one a class, as those of groups of classes, or
            background comes first, as in CrowdDet.
    """
    try:
        return max(o.channels - o.num_classes for o in classifier_outputs(model))
    except TypeError:
        heads = [head for _, head in _heads(model)]
        links = [own.link for head in heads for own in experts_of(head.loss_cls)]
        if not all(isinstance(link, _LINKS) for link in links) or any(
            isinstance(head, MultiInstanceBBoxHead) for head in heads
        ):
            raise
    found = [0]
    for path, head in model.named_modules():
        classes = getattr(head, "num_classes", None)
        if not isinstance(classes, int) or "rpn_head" in path.split("."):
            continue
        loss: Any = next(iter(experts_of(getattr(head, "loss_cls", None))), None)
        channels = getattr(head, "cls_out_channels", classes)
        if getattr(loss, "custom_cls_channels", False):
            channels = int(loss.get_cls_channels(classes))
        elif isinstance(head, BBoxHead):
            channels = classes + 1
        found.append(channels - classes)
    return max(found)


def _heads(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield the heads that classify, and are not of proposals, by path."""
    for path, head in model.named_modules():
        if _classifies(head) and "rpn_head" not in path.split("."):
            yield path, head


def _classifies(head: Any) -> bool:
    """Tell whether a module is a head of classes, not one of proposals or parts."""
    has_loss = isinstance(getattr(head, "loss_cls", None), nn.Module)
    is_head = has_loss and hasattr(head, "num_classes")
    return is_head and not isinstance(head, (RPNHead, ImbalanceLoss))


def _of_head(path: str, head: Any) -> list[ClassifierOutput]:
    kind, loss = type(head).__name__, head.loss_cls
    if isinstance(head, MultiInstanceBBoxHead):
        raise TypeError(
            f"`{path}` ({kind}) has background before its class; calibrate the scores "
            "of its detections, with Temperature, VectorScaling or ClassScoreThreshold"
        )
    experts = experts_of(loss)
    for own in experts:
        if isinstance(own.link, _LINKS) and not isinstance(own.link, GumbelLink):
            continue
        raise TypeError(
            f"`{path}` ({kind}): {type(own).__name__} makes probabilities with "
            f"{type(own.link).__name__}, whose outputs are not logits of single "
            "classes that could be calibrated"
        )
    links = tuple(own.link for own in experts)
    if not any(isinstance(link, ScaledSoftmaxLink) for link in links):
        links = ()
    classes = int(head.num_classes)
    layers = dict(_layers(head))
    if not layers:
        raise TypeError(
            f"`{path}` ({kind}) has no classification layer that is known; calibrate "
            "the scores of its detections, with Temperature, VectorScaling or "
            "ClassScoreThreshold"
        )
    found = []
    for name, layer in layers.items():
        made = getattr(layer, "out_features", None)
        if made and len(experts) > 1:
            made = made // len(experts)
        channels = int(made or getattr(head, "cls_out_channels", None) or classes)
        if channels < classes:
            raise TypeError(
                f"`{path}.{name}` has {channels} outputs for {classes} classes"
            )
        exclusive = _predicts_softmax(head, channels > classes)
        path_of_layer = f"{path}.{name}"
        found.append(
            ClassifierOutput(path_of_layer, layer, channels, classes, exclusive, links)
        )
    return found


def _predicts_softmax(head: Any, has_background: bool) -> bool:
    """Tell whether the classes exclude one another in prediction.

    Box heads of mmdet predict with a softmax, whatever their loss trains, unless the
    loss says otherwise. Dense heads may know it where their loss does not say so.
    """
    loss = head.loss_cls
    if getattr(head, "use_sigmoid_cls", False):
        return False
    if not getattr(loss, "use_sigmoid", False):
        return True
    is_custom = getattr(loss, "custom_cls_channels", False)
    return isinstance(head, BBoxHead) and has_background and not is_custom


def _layers(head: Any) -> Iterator[tuple[str, Any]]:
    """Yield the layers that classify, each once, by name.

    A head of queries has one for each decoder layer, and perhaps one more for its
    encoder; only those of decoder layers make detections.
    """
    seen: set[int] = set()
    for name, child in head.named_children():
        parts = {name: child}
        if isinstance(child, nn.ModuleList):
            layers = list(child)
            if name == "cls_branches" and getattr(head, "as_two_stage", False):
                layers = layers[: head.num_pred_layer - 1]
            parts = {f"{name}.{i}": layer for i, layer in enumerate(layers)}
        for inner, layer in parts.items():
            is_layer = isinstance(layer, (nn.Linear, nn.Conv2d))
            if is_layer and _names_classes(name) and id(layer) not in seen:
                seen.add(id(layer))
                yield inner, layer


def _names_classes(name: str) -> bool:
    known = name.endswith(("cls", "cls_branches")) or name in (
        "cls_embed",
        "reppoints_cls_out",
    )
    return known and not name.endswith("bbox_cls")
