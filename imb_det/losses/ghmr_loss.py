"""GHM-R: box regression loss harmonised by gradient density."""

from __future__ import annotations

from typing import Any

import torch
from mmdet.models.losses.utils import weight_reduce_loss
from torch import Tensor, nn

from imb_det.core import check_choice, check_number
from imb_det.registry import MODELS

from .call_checks import check_avg_factor, refuse_unknown
from .caller import in_head
from .elements import bin_of
from .finite import check_finite
from .gradient_density import GradientDensity, bin_counts, check_density
from .layer_calls import LayerCalls, learns
from .number_checks import check_weight
from .one_pass import can_look, compute_dtype, is_small
from .reduction import REDUCTIONS

__all__ = ["GHMRLoss"]


@MODELS.register_module()
class GHMRLoss(nn.Module):
    r"""Gradient harmonising loss for box regression.

    .. math:: \mathrm{ASL}_1(d) = \sqrt{d^2 + \mu^2} - \mu, \quad
              g = \frac{|d|}{\sqrt{d^2 + \mu^2}}, \quad
              L = \frac{1}{N} \sum_i \beta_{j(i)}\, \mathrm{ASL}_1(d_i)

    with weights by the density of g as in :class:`GHMCLoss`; an example is one
    coordinate of one positive. It divides by its own N and leaves ``avg_factor``
    aside. That is no mean for denoising queries (DINO, DDQ), many for each object.

    Args:
        mu: Distance from which the loss is about linear, > 0. Default 0.02.
        bins: Number of bins, >= 1. Default 10.
        momentum: Share of the past in the mean counts, in [0, 1). Default 0.7.
        statistics: ``'step'`` or ``'call'``, as in :class:`GHMCLoss`; with ``'call'``
            it equals mmdet's GHMR for weights of 0 and 1. Default ``'step'``.
        min_count: Least count of a bin, > 0, as in :class:`GHMCLoss`. Default 10.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1; the authors use 10.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range.
        RuntimeError: In the first training step, without the hook.

    Source: Li, Liu, Wang, "Gradient Harmonized Single-stage Detector", AAAI 2019,
    equations 11 to 14. Deviations: as in :class:`GHMCLoss`.
    """

    own_normaliser = True
    layer_calls: LayerCalls | None = None

    def __init__(
        self,
        mu: float = 0.02,
        bins: int = 10,
        momentum: float = 0.7,
        statistics: str = "step",
        min_count: float = 10.0,
        reduction: str = "mean",
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_number(name, "mu", mu, 0, None, open_ends=True)
        check_density(name, bins, momentum, statistics, min_count)
        check_choice(name, "reduction", reduction, REDUCTIONS)
        check_number(name, "loss_weight", loss_weight, 0, None)
        self.mu = mu
        self.reduction = reduction
        self.loss_weight = loss_weight
        self.density = GradientDensity(bins, momentum, statistics, min_count)

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Return the loss.

        Args:
            pred: Predicted deltas, float (N, 4).
            target: Deltas of the assigned boxes, float (N, 4).
            weight: Factors, (N, 4), >= 0; 0 for negatives, whose boxes may be anything.
            avg_factor: One number, finite and >= 0; not used.
            reduction_override: Reduction of this call. With ``'none'`` statistics
                are left alone.
            **kwargs: None are known.

        Returns:
            Scalar, or with ``'none'`` (N, 4).

        Raises:
            TypeError: An argument that only another loss has.
            ValueError: Shapes that differ or, on a CPU, weights that cannot be.
            FloatingPointError: As of :class:`~imb_det.losses.ImbalanceLoss`.
        """
        name = type(self).__name__
        check_choice(
            name, "reduction_override", reduction_override, (None, *REDUCTIONS)
        )
        refuse_unknown(name, kwargs)
        check_avg_factor(name, avg_factor)
        shapes = [tuple(x.shape) for x in (pred, target, weight) if x is not None]
        if len(set(shapes)) > 1:
            raise ValueError(
                f"{in_head(name)}: predictions, targets and weights must have the same "
                f"shape, got {shapes}"
            )
        check_weight(name, weight)
        reduction = reduction_override or self.reduction
        dtype = compute_dtype(pred)
        difference = pred.to(dtype) - target.to(dtype)
        if weight is not None and not _is_small(difference):
            difference = torch.where(weight != 0, difference, 0)
        # The square of what is far away would be too large.
        root = torch.hypot(difference, difference.new_full((), self.mu))
        loss = root - self.mu
        norm = (difference / root).detach().abs()
        valid = torch.ones_like(norm) if weight is None else weight
        learn = learns(self, reduction_override, self.density.per_call)
        beta, total = self._weigh(norm, valid > 0, learn)
        loss = loss * beta[bin_of(norm, self.density.bins)] * valid
        if weight is not None and not can_look(weight):
            loss = torch.where(weight < 0, torch.nan, loss)
        avg_factor = total if reduction == "mean" else None
        value = weight_reduce_loss(loss, None, reduction, avg_factor)
        value = self.loss_weight * value
        check_finite(name, value, difference, dtype=pred.dtype)
        return value

    @torch.no_grad()
    def _weigh(self, norm: Tensor, valid: Tensor, learn: bool) -> tuple[Tensor, Tensor]:
        """Return weights of the bins and N."""
        density = self.density
        count = bin_counts(torch.where(valid, norm, -1), density.bins)
        if density.per_call:
            return density.of_call(count, learn)
        beta, total = density()
        if learn:
            density.stats.add(count)
        return beta, torch.where(total > 0, total, count.sum()).clamp(min=1)


def _is_small(difference: Tensor) -> bool:
    """Tell whether a weight of 0 is enough to leave a box out: not for NaN."""
    difference = difference.detach()
    return can_look(difference) and (not difference.numel() or is_small(difference))
