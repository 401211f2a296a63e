"""What heads that divide by the weights of rows are told of their losses."""

from __future__ import annotations

from collections.abc import Hashable

from mmdet.models.dense_heads import DETRHead, MaskFormerHead
from torch import nn

from imb_det.statistics.class_vector import ClassVector

from .base import ImbalanceLoss

__all__ = ["RowWeights", "bind_losses"]


class RowWeights:
    """Weights of rows of a softmax loss, which are looked at where they have changed.

    A GPU would have to be waited for in every call.
    """

    def __init__(self) -> None:
        self._key: Hashable = None
        self._found: list[float] = []

    def __call__(self, loss: ImbalanceLoss, num_classes: int) -> list[float]:
        """Return the weights of C classes and, last, of background."""
        vectors = [part for part in loss.modules() if isinstance(part, ClassVector)]
        values = [(v.stage, v.value) for v in vectors]
        key = tuple((s, id(x), getattr(x, "_version", 0)) for s, x in values)
        if key != self._key or not self._found:
            self._key, self._found = key, loss.row_weights(num_classes).tolist()
        return self._found


def bind_losses(model: nn.Module) -> None:
    """Tell heads of mmdet what they need to know of our losses.

    Heads of queries divide the loss by the weights of all rows, and keep these, or that
    of background, themselves, from the config of the loss. Heads of this library ask.

    Args:
        model: With heads.
    """
    for module in model.modules():
        loss = getattr(module, "loss_cls", None)
        if not isinstance(loss, ImbalanceLoss) or loss.use_sigmoid:
            continue
        if isinstance(module, (DETRHead, MaskFormerHead)):
            weights = loss.row_weights(module.num_classes).tolist()
            module.bg_cls_weight, module.class_weight = weights[-1], weights
