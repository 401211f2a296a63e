"""What heads are told of the losses that they have."""

from __future__ import annotations

from mmdet.models.dense_heads import DETRHead
from torch import nn

from .base import ImbalanceLoss

__all__ = ["bind_losses"]


def bind_losses(model: nn.Module) -> None:
    """Tell heads what they need to know of their losses.

    Heads of queries divide the loss by the weights of all rows, and keep that of
    background themselves, 0 unless it stood in the config of mmdet's own loss.

    Args:
        model: With heads.
    """
    for module in model.modules():
        loss = getattr(module, "loss_cls", None)
        if not isinstance(loss, ImbalanceLoss) or loss.use_sigmoid:
            continue
        if isinstance(module, DETRHead):
            module.bg_cls_weight = loss.background_weight(module.num_classes)
