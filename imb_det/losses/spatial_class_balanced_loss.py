"""Binary cross entropy of masks, balanced where in the mask a pixel is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from imb_det.core import check_number
from imb_det.registry import MODELS
from imb_det.statistics.running_stats import RunningStats

from .caller import in_head
from .class_weighted import ClassWeight
from .one_pass import multiplied
from .overlap_loss import OverlapLoss

__all__ = ["SpatialClassBalancedLoss"]

# Both counts of a cell together, as the effective number has a scale.
_TOTAL = 1000.0


@MODELS.register_module()
class SpatialClassBalancedLoss(OverlapLoss):
    r"""Cross entropy that weighs mask and background by their counts at each place.

    .. math:: \ell = \frac{1}{P} \sum_v 2\, w_{v, t_v}\, \mathrm{BCE}(z_v, t_v)
              + \lambda\, (1 - t_v)\, p_v

    .. math:: w_{vk} \propto \frac{1 - \beta}{1 - \beta^{\tilde n_{vk}}}, \quad
              \tilde n_{vk} = a\, n_{vk} + (1 - a)\, n_k, \quad w_{v0} + w_{v1} = 1

    In the box of an object the middle is nearly always mask, the corners are nearly
    never. v is a cell of a grid over the masks, n_v1 and n_v0 count what the training
    has seen there so far of mask and of background, and n_k over all cells, each pair
    scaled to 1000 together. Before the first step, and where both are as many, the loss
    is binary cross entropy, with the penalty.

    Args:
        grid: Cells, (rows, columns) or a number for both, >= 1. Default 28, the masks
            of Mask R-CNN; maps of other sizes share them out.
        beta: Of the effective number, in [0, 1). Default 0.9999.
        blend: a, the share of the counts of the cell, in [0, 1]; 0 balances mask and
            background over all cells alike. Default 0.3.
        min_count: Least of the scaled counts, in (0, 500]. Default 20.
        background_penalty: lambda, >= 0. Default 0.5.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        class_weight: Weights of instances by their class, see
            :class:`imb_det.CrossEntropyLoss`. Default None, 1.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range.
        RuntimeError: In the first training step, without the hook.

    Source: Jung, Lee, "Learning Dense Hand Contact Estimation from Imbalanced Data"
    (HACO), 2025, vertex-level class-balanced loss, read from its code. The paper's are
    the counts by place and class, their blend, floor and effective number, the weights
    and the penalty. The translation: a vertex of a hand mesh is a cell of the mask
    grid, contact is mask. Deviations: the counts are those of the masks trained on so
    far, on all ranks, crops and flips included, in place of those of a data set; a is
    constant, where the paper lets it grow from 0 to 0.3 with the epochs; the factor 2,
    so that balanced counts leave cross entropy as it is; losses of the mean contact map
    and of smoothness over the mesh have no counterpart.
    """

    needs_maps = True
    only_logits = True

    def __init__(
        self,
        grid: int | Sequence[int] = 28,
        beta: float = 0.9999,
        blend: float = 0.3,
        min_count: float = 20.0,
        background_penalty: float = 0.5,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        class_weight: ClassWeight = None,
    ) -> None:
        super().__init__(
            reduction=reduction, loss_weight=loss_weight, class_weight=class_weight
        )
        name = type(self).__name__
        cells = (grid, grid) if isinstance(grid, int) else tuple(grid)
        if len(cells) != 2 or not all(type(n) is int and n > 0 for n in cells):
            raise ValueError(
                f"{name}: `grid` must be one or two whole numbers >= 1, got {grid!r}"
            )
        check_number(name, "beta", beta, 0, 1)
        check_number(name, "blend", blend, 0, 1)
        check_number(name, "min_count", min_count, 0, _TOTAL / 2)
        if beta == 1 or min_count == 0:
            raise ValueError(f"{name}: `beta` must be below 1, `min_count` above 0")
        check_number(name, "background_penalty", background_penalty, 0, None)
        self.grid, self.beta, self.blend = cells, beta, blend
        self.min_count, self.background_penalty = min_count, background_penalty
        self.seen = RunningStats(2 * cells[0] * cells[1], momentum=None)

    @torch.no_grad()
    def cell_weights(self) -> Tensor:
        """Return weights of background and mask, which sum to 1, (2, rows, columns)."""
        counts = self.seen.value.view(2, *self.grid)
        of_all = _scaled(counts.sum((1, 2), keepdim=True))
        counts = self.blend * _scaled(counts) + (1 - self.blend) * of_all
        counts = _scaled(counts.clamp(min=self.min_count))
        weights = (1 - self.beta) / (1 - self.beta**counts)
        return weights / weights.sum(0)

    def forward(
        self, pred: Tensor, target: Tensor, *args: Any, **kwargs: Any
    ) -> Tensor:
        """Return the loss, and count the masks.

        Args:
            pred: Logits, float (N, h, w), or (N, C, h, w) in RoI heads.
            target: Masks in [0, 1], (N, h, w).
            *args: See :meth:`OverlapLoss.forward`.
            **kwargs: See :meth:`OverlapLoss.forward`.

        Raises:
            ValueError: Points or maps of classes, which have no place in a mask.
        """
        if target.dim() != 3:
            raise ValueError(
                f"{in_head(type(self).__name__)}: it goes by the place of a pixel in a "
                f"mask, (N, h, w), got targets {tuple(target.shape)}"
            )
        value = super().forward(pred, target, *args, **kwargs)
        if self.training and torch.is_grad_enabled():
            mask = F.adaptive_avg_pool2d(target.float(), self.grid).sum(0)
            self.seen.add(torch.stack([len(target) - mask, mask]).flatten().double())
        return value

    def rows(
        self,
        x: Tensor,
        target: Tensor,
        logits: bool,
        factor: Tensor,
        out: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the losses of masks, and their derivatives times a factor."""
        weights = F.interpolate(self.cell_weights()[None], size=x.shape[1:])[0]
        outside, inside = 2 * weights.to(x.dtype).flatten(1)
        x, target = x.flatten(1), target.flatten(1)
        p, empty = x.sigmoid(), 1 - target
        inside, outside = inside * target, outside * empty
        # -log p, and x more, which is -log(1 - p)
        loss = torch.addcmul(outside * x, inside + outside, F.logsigmoid(x), value=-1)
        slope = torch.addcmul(-inside, inside + outside, p)
        if self.background_penalty:
            risen = self.background_penalty * empty * p
            loss += risen
            slope += torch.addcmul(risen, risen, p, value=-1)
        scale = factor / max(x.size(1), 1)
        return loss.sum(1) / max(x.size(1), 1), multiplied(slope, scale[:, None], out)


def _scaled(counts: Tensor) -> Tensor:
    """Scale counts of background and mask to 1000 together; none are as many."""
    total = counts.sum(0)
    return torch.where(total > 0, _TOTAL * counts / total, _TOTAL / 2)
