"""Guided loss scaling: the classification loss follows the size of the box loss."""

from __future__ import annotations

import logging
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.logging import print_log
from torch import Tensor, nn

__all__ = ["GuidedLossScaling"]


def _total(loss: Any) -> Tensor:
    """Sum a loss that is a tensor or a list of tensors, one a level."""
    if isinstance(loss, (list, tuple)):
        return torch.stack([_total(part) for part in loss]).sum()
    return loss.sum()


def _scaled(loss: Any, factor: Tensor) -> Any:
    """Multiply a loss that is a tensor or a list of tensors."""
    if isinstance(loss, (list, tuple)):
        return [_scaled(part, factor) for part in loss]
    return loss * factor


class GuidedLossScaling(nn.Module):
    r"""Mixin that scales a dense head's classification loss to its box loss.

    With both losses summed over levels and averaged over ranks,

    .. math:: r = \mathrm{stopgrad}(L_{reg} / L_{cls}), \quad
              L = L_{reg} + w_{cls} \, r \, L_{cls}

    so the classification loss has the value of the box loss (times ``w_cls``) and the
    direction of its own gradient, however many candidates are negative. Without
    positives, or with a loss that is zero or not finite, r is 1 for that iteration;
    such iterations are counted in the buffer ``num_unscaled``.

    The ratio of one iteration scales a batch of hard examples down and a batch of easy
    ones up, the more so the fewer objects a batch holds. With ``momentum`` m > 0 both
    losses enter the ratio as running means, ``mean <- m mean + (1 - m) loss``, kept in
    the buffer ``mean_losses``.

    Put it before a head whose ``loss_by_feat`` returns ``loss_cls`` and ``loss_bbox``.
    The ratio is logged as ``guided_ratio``, the count as ``num_unscaled``.

    Args:
        cls_loss_scale: Weight w_cls of the scaled classification loss, > 0. Default
            1, the authors' choice for one-stage heads and RPN.
        momentum: Share of the past in the running means of the losses, in [0, 1).
            Default 0: each iteration has its own ratio, as the authors have it.

    Raises:
        ValueError: ``cls_loss_scale`` or ``momentum`` out of range, a classification
            loss without sigmoid, or a sampler that drops candidates.

    Source: Chen et al., "Is Heuristic Sampling Necessary in Training Deep Object
    Detectors?", IEEE TIP 2021, guided loss scaling; the ratio of every iteration as
    in the authors' first public code. Deviations: that code takes the ratio of each
    rank on its own, counts ignored anchors as negatives, and returns constants
    without gradient when a rank has no positive. Running means are our own.
    """

    mean_losses: Tensor
    num_unscaled: Tensor

    def __init__(
        self,
        *args: Any,
        cls_loss_scale: float = 1.0,
        momentum: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        name = type(self).__name__
        if not cls_loss_scale > 0:
            raise ValueError(
                f"{name}: `cls_loss_scale` must be > 0, got {cls_loss_scale}"
            )
        if not self.use_sigmoid_cls:
            raise ValueError(
                f"{name} needs a sigmoid classification loss, such as "
                "`loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True)`; got "
                f"{type(self.loss_cls).__name__} without `use_sigmoid=True`"
            )
        sampler = type(getattr(self, "sampler", None)).__name__
        if sampler not in ("PseudoSampler", "NoneType"):
            raise ValueError(
                f"{name} trains on every candidate, but `train_cfg.sampler` is "
                f"{sampler}; set it to `dict(type='PseudoSampler')`"
            )
        if not 0 <= momentum < 1:
            raise ValueError(f"{name}: `momentum` must be in [0, 1), got {momentum}")
        if (kind := type(self.loss_cls).__name__) != "CrossEntropyLoss":
            print_log(
                f"{name}: the classification loss is {kind}; sampling-free training "
                "means `loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True)`",
                "current",
                logging.WARNING,
            )
        if getattr(self.loss_cls, "loss_weight", 1.0) != 1.0:
            print_log(
                f"{name}: `loss_cls.loss_weight` has no effect, the loss is scaled to "
                "the box loss; use `cls_loss_scale`",
                "current",
                logging.WARNING,
            )
        self.cls_loss_scale = cls_loss_scale
        self.momentum = momentum
        self.register_buffer("mean_losses", torch.zeros(2))
        self.register_buffer("num_unscaled", torch.zeros((), dtype=torch.long))

    def loss_by_feat(self, *args: Any, **kwargs: Any) -> dict:
        """Return the head's losses with the classification loss scaled.

        Args:
            *args: As the head's own ``loss_by_feat``.
            **kwargs: As the head's own ``loss_by_feat``.

        Returns:
            The head's losses, and ``guided_ratio`` and ``num_unscaled`` for the log.
        """
        losses = super().loss_by_feat(*args, **kwargs)  # type: ignore[misc]
        ratio = self._guided_ratio(losses)
        losses["loss_cls"] = _scaled(losses["loss_cls"], self.cls_loss_scale * ratio)
        losses["guided_ratio"] = ratio
        losses["num_unscaled"] = self.num_unscaled.float()
        return losses

    @torch.no_grad()
    def _guided_ratio(self, losses: dict) -> Tensor:
        """Ratio of box to classification loss over levels and ranks; a scalar."""
        pair = torch.stack(
            [_total(losses["loss_bbox"]).float(), _total(losses["loss_cls"]).float()]
        )
        # Dense heads reach this line on every rank in every iteration.
        all_reduce(pair, op="mean")
        usable = torch.isfinite(pair[0] / pair[1]) & (pair > 0).all()
        # The means start at zero, both alike, which cancels in the ratio.
        mean = self.momentum * self.mean_losses + (1 - self.momentum) * pair
        self.mean_losses.copy_(torch.where(usable, mean, self.mean_losses))
        self.num_unscaled += ~usable
        ratio = mean[0] / mean[1]
        return torch.where(usable, ratio, torch.ones_like(ratio))
