"""Heads against the activation of their loss."""

from __future__ import annotations

from collections.abc import Iterator

from mmdet.models.dense_heads import DETRHead

from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity
from imb_det.losses import ImbalanceLoss

__all__ = ["check_activations"]

_WHAT = "a head predicts with another activation than its loss trains"


def check_activations(context: CheckContext) -> Iterator[Finding]:
    """Find heads that predict with another activation than their loss trains.

    Dense heads take the activation from the config of the loss, not from the loss. Some
    RoI heads have a softmax of their own, whatever the loss.

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
