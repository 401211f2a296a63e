"""Heads against the activation of their loss."""

from __future__ import annotations

from collections.abc import Iterator

from mmdet.models.dense_heads import DETRHead, RPNHead

from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity
from imb_det.losses import ImbalanceLoss, SigmoidLink, SoftmaxLink

__all__ = ["check_activations"]

#: Heads that never ask a loss for its activation.
_DEAF = (DETRHead, RPNHead)
#: Links that are what such heads predict with.
_PLAIN = (SigmoidLink, SoftmaxLink)
_WHAT = "a head predicts with another activation than its loss trains"


def check_activations(context: CheckContext) -> Iterator[Finding]:
    """Find heads that predict with another activation than their loss trains.

    Dense heads take the activation from the config of the loss, not from the loss. Some
    RoI heads have a softmax of their own, whatever the loss. DETR's heads and RPN never
    ask the loss, and only RoI heads make as many outputs as its link wants.

    Args:
        context: With a model.
    """
    if context.model is None:
        return
    for name, module in context.model.named_modules():
        loss = getattr(module, "loss_cls", None)
        if not isinstance(loss, ImbalanceLoss):
            continue
        kind = type(loss).__name__
        where = f"`{name}` ({type(module).__name__})"
        if hasattr(module, "fc_cls") and not isinstance(module, DETRHead):
            channels = getattr(module.fc_cls, "out_features", loss.roi_channels)
            if loss.use_sigmoid and channels != loss.roi_channels:
                yield Finding(
                    "activation",
                    Severity.ERROR,
                    _WHAT,
                    where,
                    f"has {channels} channels and predicts with a softmax, whatever "
                    f"its loss: {kind} with use_sigmoid=True cannot serve it",
                    "Use `use_sigmoid=False`, or a head such as Shared2FCBBoxHead",
                )
        elif loss.link.extra_channels != int(not loss.use_sigmoid):
            yield Finding(
                "link_channels",
                Severity.ERROR,
                "a head has other outputs than the link of its loss needs",
                where,
                f"asks no loss for its number of outputs, and {kind} needs "
                f"{loss.link.extra_channels} beyond the classes",
                "Use the loss in a box head such as Shared2FCBBoxHead, or one without "
                "an output for background or objectness",
            )
        elif isinstance(module, _DEAF) and type(loss.link) not in _PLAIN:
            yield Finding(
                "activation",
                Severity.ERROR,
                _WHAT,
                where,
                f"predicts with a sigmoid or softmax of its own, and {kind} trains "
                f"{type(loss.link).__name__}",
                "Use a loss with sigmoid or softmax there",
            )
        mine = getattr(module, "use_sigmoid_cls", None)
        if mine in (None, loss.use_sigmoid):
            continue
        yield Finding(
            "activation",
            Severity.ERROR,
            _WHAT,
            where,
            "reads `use_sigmoid` from the config of its loss and takes it for "
            f"{mine}, but {kind} trains with use_sigmoid={loss.use_sigmoid}",
            f"Write `use_sigmoid={loss.use_sigmoid}` into `loss_cls`",
        )
