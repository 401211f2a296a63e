"""Measures how far logits of held-out images are beyond their margin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from imb_det.difficulty.loss_meter import LossMeter, class_losses
from imb_det.losses import CALSLoss, ImbalanceLoss
from imb_det.losses.rows import where_counted

__all__ = ["MarginMeter", "margin_losses"]


def margin_losses(model: nn.Module, num_classes: int) -> dict[str, ImbalanceLoss]:
    """Find the losses of heads for ``num_classes`` classes that hold a CALS loss.

    Returns:
        The loss of the head, which may be one around it, by name.

    Raises:
        ValueError: There is none, or a loss holds two.
    """
    found: dict[str, ImbalanceLoss] = {}
    for name, loss in class_losses(model, num_classes).items():
        inside = [part for part in loss.modules() if isinstance(part, CALSLoss)]
        if len(inside) > 1:
            raise ValueError(f"`{name}` has one CALSLoss in another: keep one of them")
        if inside and isinstance(loss, ImbalanceLoss):
            found[name] = loss
    if not found:
        raise ValueError(
            f"no head of {type(model).__name__} for {num_classes} classes has a "
            "CALSLoss: write `loss_cls=dict(type='imb_det.CALSLoss', "
            "loss=dict(type='imb_det.CrossEntropyLoss'))`"
        )
    return found


def cals_of(loss: nn.Module) -> CALSLoss:
    """Return the CALS loss in a loss of :func:`margin_losses`."""
    return next(part for part in loss.modules() if isinstance(part, CALSLoss))


class MarginMeter(LossMeter):
    """Sums constraints, and derivatives of penalties, over rows that count.

    Args:
        losses: Of :func:`margin_losses`.
        outputs: K, classes and background.
        limits: Smallest and largest multiplier; each derivative is clipped to them.
    """

    def __init__(
        self,
        losses: Mapping[str, ImbalanceLoss],
        outputs: int,
        limits: tuple[float, float],
    ) -> None:
        super().__init__(losses, (len(losses), 3, outputs), only_training=False)
        self.limits = limits
        self._places = {id(loss): place for place, loss in enumerate(losses.values())}

    def means(self) -> list[tuple[np.ndarray, np.ndarray] | None]:
        """Return the mean derivative and constraint of each loss; start anew.

        Returns:
            Two of float64 (K,) for each loss; None where it had no row.
        """
        found: list[tuple[np.ndarray, np.ndarray] | None] = [
            (slope / rows, constraint / rows) if rows.all() else None
            for slope, constraint, rows in self.total
        ]
        self.total = np.zeros_like(self.total)
        return found

    @torch.no_grad()
    def measure(self, loss: nn.Module, score: Any, label: Any, weight: Any) -> None:
        """Add the rows of a loss call; the host does not wait for the GPU."""
        if not isinstance(loss, ImbalanceLoss):
            return
        cals = cals_of(loss)
        # Half precision would round what is to be compared.
        with torch.autocast(score.device.type, enabled=False):
            z = score.detach().float()
            counted, _ = where_counted(label, weight)
            if counted is None:
                counted = torch.ones_like(z[:, :1], dtype=torch.bool)
            h = cals.constraints(loss.link.logits(torch.where(counted, z, 0)))
            _, slope = cals.penalties(h)
            sums = torch.stack([slope.clamp(*self.limits), h, torch.ones_like(h)])
            sums = torch.where(counted, sums.double(), 0).sum(1)
        self.local(sums)[self._places[id(loss)]] += sums
