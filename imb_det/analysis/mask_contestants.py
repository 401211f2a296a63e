"""Losses of masks that the benchmark measures, and what each is held to."""

from __future__ import annotations

from collections.abc import Callable
from math import isqrt
from typing import Any

import mmdet.models.losses as peers
import torch
from torch import Tensor

from imb_det import losses

from .loss_contestants import Case

__all__ = ["MASKS", "mask_contestants"]

#: Points of the masks of a batch, as Mask2Former samples them.
MASKS = Case("masks 100 x 12,544", 100, 12_544)

_CLASSES = 80
_DICE = "mmdet DiceLoss"
_ENTROPY = "mmdet CrossEntropyLoss"
_BOTH = "mmdet CrossEntropyLoss + DiceLoss"


def mask_contestants(
    case: Case, device: str
) -> tuple[Tensor, Tensor, dict[str, tuple[Callable[[Tensor], Tensor], str | None]]]:
    """Return logits, masks, and losses of logits with their peers, by name.

    Ours have a weight for each class; 12,544 points are a map of 112 x 112 for the one
    that goes by place.

    Args:
        case: Instances and points.
        device: ``'cpu'`` or ``'cuda'``.
    """
    generator = torch.Generator().manual_seed(0)
    shape = (case.rows, case.classes)
    logits = 2 * torch.randn(shape, generator=generator)
    masks = (torch.rand(shape, generator=generator) > 0.7).float().to(device)
    logits = logits.to(device).requires_grad_()
    labels = torch.randint(_CLASSES, (case.rows,), generator=generator).to(device)
    weights = torch.linspace(0.5, 1.5, _CLASSES).tolist()
    side = isqrt(case.classes)

    def ready(loss: Any) -> Any:
        loss = loss.to(device)
        if isinstance(loss, losses.ToldInstances):
            loss.set_instances(labels, _CLASSES)
        losses.manage_statistics(loss)
        return loss

    def rows(loss: Any) -> Callable[[Tensor], Tensor]:
        module = ready(loss)
        return lambda z: module(z, masks, avg_factor=case.rows)

    def points(loss: Any) -> Callable[[Tensor], Tensor]:
        module, divisor = ready(loss), case.rows * case.classes
        return lambda z: module(z.reshape(-1), masks.reshape(-1), avg_factor=divisor)

    def maps(loss: Any) -> Callable[[Tensor], Tensor]:
        module = ready(loss)
        view = (case.rows, side, side)
        found = masks[:, : side * side].reshape(view)
        return lambda z: module(z[:, : side * side].reshape(view), found)

    entropy = points(peers.CrossEntropyLoss(use_sigmoid=True))
    dice = rows(peers.DiceLoss(naive_dice=True, eps=1.0))
    inside = dict(type="mmdet.CrossEntropyLoss", use_sigmoid=True)
    weighted = points(losses.InstanceWeightedLoss(inside, weights))
    given: dict[str, Any] = dict(class_weight=weights)
    mine = points(losses.CrossEntropyLoss(use_mask=True, **given))
    ours = rows(losses.DiceLoss(naive_dice=True, eps=1.0, **given))
    damped = losses.SelfAdjustingDiceLoss(0.3, **given)
    return (
        logits,
        masks,
        {
            _ENTROPY: (entropy, None),
            _DICE: (dice, None),
            _BOTH: (lambda z: entropy(z) + dice(z), None),
            "InstanceWeightedLoss, cross entropy": (weighted, _ENTROPY),
            "CrossEntropyLoss": (mine, _ENTROPY),
            "DiceLoss": (ours, _DICE),
            "CrossEntropyLoss + DiceLoss": (lambda z: mine(z) + ours(z), _BOTH),
            "TverskyLoss": (rows(losses.TverskyLoss(**given)), _DICE),
            "SelfAdjustingDiceLoss": (rows(damped), _DICE),
            "LovaszLoss": (rows(losses.LovaszLoss(**given)), _DICE),
            "SpatialClassBalancedLoss": (
                maps(losses.SpatialClassBalancedLoss(**given)),
                _ENTROPY,
            ),
        },
    )
