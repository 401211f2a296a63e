"""Heads against the link of their loss: their outputs, and what they predict with."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from mmdet.models.dense_heads import DETRHead, MaskFormerHead, RPNHead
from mmdet.models.roi_heads.bbox_heads import DIIHead
from torch import nn

from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity
from imb_det.losses import ImbalanceLoss, SigmoidLink, SoftmaxLink
from imb_det.losses.caller import as_config

__all__ = ["check_activations"]

#: Links that are what heads predict with that never ask a loss.
_PLAIN = (SigmoidLink, SoftmaxLink)
_ASKS = "get_activation"
_WHAT = "a head predicts with another activation than its loss trains"


def check_activations(context: CheckContext) -> Iterator[Finding]:
    """Find heads that cannot carry the link of their loss.

    Dense heads take the activation from the config of the loss, not from the loss. Some
    RoI heads have a softmax of their own, whatever the loss. DETR's heads, RPN and some
    dense heads never ask the loss, and only RoI heads make as many outputs as its link
    wants.

    Args:
        context: With a model.
    """
    if context.model is None:
        return
    for name, module in context.model.named_modules():
        loss = getattr(module, "loss_cls", None)
        if isinstance(loss, ImbalanceLoss) and not isinstance(module, ImbalanceLoss):
            yield from _of_head(f"`{name}` ({type(module).__name__})", module, loss)


def _of_head(where: str, head: nn.Module, loss: ImbalanceLoss) -> Iterator[Finding]:
    """Yield what is wrong with one head."""
    kind, link = type(loss).__name__, loss.link
    made, in_roi_head = _outputs(head, loss)
    plain = type(link) in _PLAIN
    if in_roi_head and plain and loss.use_sigmoid and made:
        yield Finding(
            "activation",
            Severity.ERROR,
            _WHAT,
            where,
            f"has {made} output beyond the classes and predicts with a softmax, "
            f"whatever its loss: {kind} with use_sigmoid=True cannot serve it",
            "Use `use_sigmoid=False`, or a head such as Shared2FCBBoxHead",
        )
    elif made != link.extra_channels:
        yield Finding(
            "link_channels",
            Severity.ERROR,
            "a head has other outputs than the link of its loss needs",
            where,
            f"asks no loss for its number of outputs and makes {made} beyond the "
            f"classes, but {kind} needs {link.extra_channels}",
            _instead(head, loss),
        )
    elif not plain and not _asks(head):
        own = "sigmoid" if loss.use_sigmoid else "softmax"
        yield Finding(
            "activation",
            Severity.ERROR,
            _WHAT,
            where,
            f"predicts with a {own} of its own, whatever its loss, and {kind} trains "
            f"{type(link).__name__}",
            _instead(head, loss),
        )
    mine = getattr(head, "use_sigmoid_cls", None)
    if mine not in (None, loss.use_sigmoid):
        yield Finding(
            "activation",
            Severity.ERROR,
            _WHAT,
            where,
            "reads `use_sigmoid` from the config of its loss and takes it for "
            f"{mine}, but {kind} trains with use_sigmoid={loss.use_sigmoid}",
            f"Write `use_sigmoid={loss.use_sigmoid}` into `loss_cls`",
        )


def _outputs(head: Any, loss: ImbalanceLoss) -> tuple[int, bool]:
    """Return the outputs of a head beyond one a class, and whether it is of RoIs."""
    if isinstance(head, MaskFormerHead):  # whatever the loss
        return int(head.cls_embed.out_features) - int(head.num_classes), False
    if isinstance(head, DETRHead) or not hasattr(head, "fc_cls"):
        return int(not loss.use_sigmoid), False
    made = getattr(head.fc_cls, "out_features", None)
    if made is None:  # several classifiers, which have asked
        return loss.link.extra_channels, True
    return int(made) - int(head.num_classes), True


def _asks(head: nn.Module) -> bool:
    """Tell whether a head asks its loss for the probabilities that it predicts."""
    if isinstance(head, (RPNHead, DIIHead)):
        return False  # what asks in their base classes is not what predicts
    top = _names_in(head, "predict_by_feat")
    single = "_predict_by_feat_single"
    return _ASKS in top or (single in top and _ASKS in _names_in(head, single))


def _names_in(head: nn.Module, method: str) -> tuple[str, ...]:
    """Return the names that the code of a method mentions."""
    function = inspect.unwrap(getattr(type(head), method, None) or _names_in)
    code = getattr(function, "__code__", None)
    return () if code is None else code.co_names


def _instead(head: nn.Module, loss: ImbalanceLoss) -> str:
    """Return what to use in place of a loss whose link a head cannot carry."""
    kind = type(loss).__name__
    if not hasattr(head, "fc_cls") and _has_argument(loss, "objectness"):
        return "Write `objectness=False` into `loss_cls`"
    if loss.use_sigmoid or not hasattr(head, "fc_cls"):
        other = dict(type="imb_det.EqualizedFocalLoss", use_sigmoid=True)
    else:
        other = dict(type="imb_det.LogitAdjustmentLoss", use_sigmoid=False)
    if isinstance(head, RPNHead):
        other = dict(type="imb_det.FocalLoss", use_sigmoid=True)
    elif isinstance(head, MaskFormerHead) or not getattr(head, "use_sigmoid_cls", True):
        other = dict(type="imb_det.LogitAdjustmentLoss", use_sigmoid=False)
    return (
        f"Use {kind} in a box head such as Shared2FCBBoxHead, or write "
        f"{as_config('loss_cls', other)} here"
    )


def _has_argument(loss: ImbalanceLoss, name: str) -> bool:
    return name in inspect.signature(type(loss)).parameters
