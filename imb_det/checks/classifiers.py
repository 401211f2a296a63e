"""Losses of cosines against the classifiers of their heads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmdet.models.layers import NormedConv2d, NormedLinear
from mmdet.models.roi_heads.bbox_heads import BBoxHead, DIIHead, DoubleConvFCBBoxHead
from torch import nn

from imb_det import layers
from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity
from imb_det.heads import ExpertLosses, experts_of
from imb_det.losses import ImbalanceLoss
from imb_det.losses.caller import as_config

__all__ = ["check_classifiers"]

_NORMED = (layers.NormedLinear, layers.NormedConv2d, NormedLinear, NormedConv2d)
#: Box heads that make their classifier by themselves.
_FIXED = (DIIHead, DoubleConvFCBBoxHead)
_LINE = as_config(
    "cls_predictor_cfg",
    dict(type="imb_det.NormedLinear", temperature=1, bias=False),
)
_NONE = "there is no classifier that is known to give cosines"
_OTHER = as_config("loss_cls", dict(type="imb_det.VSLoss", use_sigmoid=False))


def check_classifiers(context: CheckContext) -> Iterator[Finding]:
    """Find losses that take logits for cosines in heads whose logits are none.

    Args:
        context: With a model.
    """
    if context.model is None:
        return
    inside = {
        id(part)
        for losses in context.model.modules()
        if isinstance(losses, ExpertLosses)
        for part in losses.modules()
    }
    for name, head in context.model.named_modules():
        if isinstance(head, ImbalanceLoss) or id(head) in inside:
            continue
        experts = experts_of(getattr(head, "loss_cls", None))
        for loss in dict.fromkeys((*head.children(), *experts)):
            if not (isinstance(loss, ImbalanceLoss) and _needs_cosines(loss)):
                continue
            found = {n: w for n, c in _classifiers(head) if (w := _wrong_with(c))}
            known = list(_classifiers(head))
            if known and not found:
                continue
            evidence = "; ".join(f"`{n}` {what}" for n, what in found.items())
            makes = isinstance(head, BBoxHead) and not isinstance(head, _FIXED)
            remedy = f"Write {_LINE} into this head"
            if not makes:
                remedy = (
                    f"Use the loss in a box head such as Shared2FCBBoxHead with {_LINE}"
                    f", or write {_OTHER} here"
                )
            yield Finding(
                "classifier",
                Severity.ERROR,
                "a classifier does not give the cosines that its loss needs",
                f"`{name}` ({type(head).__name__})",
                f"{type(loss).__name__}, and {evidence or _NONE}",
                remedy,
            )


def _needs_cosines(loss: ImbalanceLoss) -> bool:
    """Tell whether a loss, or one that it is around, takes logits for cosines."""
    return any(getattr(part, "needs_cosines", False) for part in loss.modules())


def _classifiers(head: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the layers of a head that classify, by name."""
    for name, child in head.named_children():
        if name.endswith("cls") or name == "cls_branches":
            for inner, layer in child.named_modules():
                if isinstance(layer, (nn.Linear, nn.Conv2d)):
                    yield f"{name}.{inner}".rstrip("."), layer


def _wrong_with(layer: Any) -> str | None:
    """Return why the outputs of a layer are no cosines; None where they are."""
    if not isinstance(layer, _NORMED):
        return f"is a {type(layer).__name__}, which is not normalised"
    # mmdet 3.3 spells it wrong.
    spellings = ("temperature", "tempearture")
    temperature = next(getattr(layer, n) for n in spellings if hasattr(layer, n))
    has = {"temperature": temperature, "power": layer.power}
    found = [f"{key}={value:g}" for key, value in has.items() if value != 1]
    if layer.bias is not None:
        found.append("a bias")
    return f"is a {type(layer).__name__} with {' and '.join(found)}" if found else None
