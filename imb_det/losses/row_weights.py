"""What heads that divide by the weights of rows are told of their losses."""

from __future__ import annotations

from typing import Any

import torch
from mmdet.models.dense_heads import DETRHead, MaskFormerHead
from torch import Tensor, nn

from imb_det.statistics.class_vector import ClassVector

from .base import ImbalanceLoss
from .fading_loss import FadingLoss
from .one_pass import can_look
from .terms import Call
from .wrapper import LossWrapper

__all__ = ["RowWeights", "bind_losses", "costs_of_loss", "row_weights"]


@torch.no_grad()
def row_weights(loss: ImbalanceLoss, num_classes: int) -> Tensor:
    """Return the factors of rows by their class, of a loss with a softmax.

    Args:
        loss: The loss, whose numbers of the classes are known.
        num_classes: C.

    Returns:
        Float32 (C + 1,), background last.
    """
    if isinstance(loss, LossWrapper):
        return row_weights(loss.loss, num_classes)
    if isinstance(loss, FadingLoss):
        share = loss.share.value
        both = (row_weights(part, num_classes) for part in (loss.first, loss.second))
        first, second = (weights.to(share.device) for weights in both)
        return torch.lerp(first, second, share.to(first.dtype))
    like = next(iter([*loss.buffers(), *loss.parameters()]), torch.zeros(()))
    label = torch.zeros(0, dtype=torch.long, device=like.device)
    score = torch.zeros(0, num_classes + loss.link.extra_channels, device=like.device)
    positive = loss.terms(Call(score, label, None, num_classes, False)).positive
    weights = torch.ones(num_classes + 1, device=like.device)
    return weights * positive.float() if isinstance(positive, Tensor) else weights


class RowWeights:
    """Weights of rows of a loss, which on a GPU are read where they have changed."""

    def __init__(self) -> None:
        self._seen: list[tuple[str | None, Tensor | None, int]] = []
        self._found: list[float] = []

    def __call__(self, loss: ImbalanceLoss, num_classes: int) -> list[float]:
        """Return the weights of C classes and, last, of background."""
        parts = list(loss.modules())
        fades = any(isinstance(part, FadingLoss) for part in parts)
        vectors = [part for part in parts if isinstance(part, ClassVector)]
        at_hand = all(v.value is None or can_look(v.value) for v in vectors)
        if fades or at_hand:
            return row_weights(loss, num_classes).tolist()
        now = [(v.stage, v.value, getattr(v.value, "_version", 0)) for v in vectors]
        if not self._found or not _same(now, self._seen):
            self._seen, self._found = now, row_weights(loss, num_classes).tolist()
        return self._found


def _same(
    now: list[tuple[str | None, Tensor | None, int]],
    before: list[tuple[str | None, Tensor | None, int]],
) -> bool:
    return len(now) == len(before) and all(
        a[0] == b[0] and a[1] is b[1] and a[2] == b[2]
        for a, b in zip(now, before, strict=True)
    )


def costs_of_loss(head: nn.Module) -> list[Any]:
    """Return the costs by which a head matches, of those that go by its loss."""
    costs = getattr(getattr(head, "assigner", None), "match_costs", ())
    return [cost for cost in costs if hasattr(cost, "set_loss")]


def bind_losses(model: nn.Module) -> None:
    """Tell heads of mmdet what they need to know of our losses.

    Heads of queries divide the loss by the weights of all rows, or by the weight of
    background rows and 1 for others, and keep these numbers themselves, from the config
    of the loss. Heads of this library ask. Costs of matching that go by the loss get
    it.

    Args:
        model: With heads.
    """
    for module in model.modules():
        loss = getattr(module, "loss_cls", None)
        for cost in costs_of_loss(module):
            cost.set_loss(loss, module.num_classes)
        if not isinstance(loss, ImbalanceLoss) or loss.use_sigmoid:
            continue
        asks = any(isinstance(part, RowWeights) for part in vars(module).values())
        if isinstance(module, (DETRHead, MaskFormerHead)) and not asks:
            weights = row_weights(loss, module.num_classes).tolist()
            module.bg_cls_weight, module.class_weight = weights[-1], weights
