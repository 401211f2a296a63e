"""Guided loss scaling: the classification loss follows the size of the box loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn

from imb_det.statistics.exact_buffers import ExactBuffers

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


_OWN_BUFFERS = ("mean_losses", "num_unscaled", "mean_ratio", "num_ratios")


class GuidedLossScaling(ExactBuffers):
    r"""Mixin that scales a head's classification loss to its regression losses.

    With the K - 1 losses of the regression side, all losses summed over levels and
    joined over ranks,

    .. math:: r = \mathrm{stopgrad}\left(
              \frac{\sum_{k \geq 2} L_k}{(K - 1) L_{cls}} \right), \quad
              L = w_{cls} \, r \, L_{cls} + \sum_{k \geq 2} L_k

    so the classification loss has the mean value of the regression losses (times
    ``w_cls``) and the direction of its own gradient, however many candidates are
    negative. Losses of other names stay as they are, out of the ratio. Without
    positives, or with a loss that is zero or not finite, r is 1 for that iteration;
    such iterations are counted in the buffer ``num_unscaled``.

    The ratio of one iteration scales a batch of hard examples down and a batch of easy
    ones up, the more so the fewer objects a batch holds. With ``momentum`` m > 0 both
    sides enter the ratio as running means, ``mean <- m mean + (1 - m) loss``, kept in
    the buffer ``mean_losses``. With ``freeze_after`` the mean ratio of the first
    iterations is kept from then on. With ``uncertainty`` the losses get learnt weights,

    .. math:: L = \sum_k \frac{L_k}{2 s_k^2} + \log \prod_k s_k

    after the ratio, from s = 1 on.

    The ratio is logged as ``guided_ratio``, the count as ``num_unscaled``.

    Args:
        cls_loss_scale: Weight w_cls of the scaled classification loss, > 0. Default:
            the authors' choice, 2 for RoI heads and 1 for all others;
            in a cascade, of which they say nothing, 2 in every stage.
        momentum: Share of the past in the running means of the losses, in [0, 1).
            Default 0: each iteration has its own ratio, as the authors have it.
        freeze_after: Number of iterations whose mean ratio is kept, >= 1; those that
            are not scaled do not count. None, the default, for never.
        uncertainty: Whether to learn weights of the losses. Default False.
        regression_losses: Names of the losses that make the ratio, such as
            ``("loss_bbox",)`` where a centerness loss shall stay out of it. Default:
            those of the head's class.

    Raises:
        ValueError: An argument out of range, or a name that the head's class has not.
        TypeError: In training, if the head returns other losses.

    Source: Chen et al., "Is Heuristic Sampling Necessary in Training Deep Object
    Detectors?", IEEE TIP 2021, guided loss scaling; the ratio of every iteration as in
    the authors' first public code, K losses, freezing and learnt weights (there after
    100 iterations) as in their last one. Deviations: the first code takes the ratio of
    each rank on its own, counts ignored anchors as negatives, and returns constants
    without gradient when a rank has no positive; the last one learns s, we log s, with
    the same gradient at s = 1, so that no s reaches 0, and keeps the ratio of the last
    iteration before freezing, we the mean of all. Running means are our own.
    """

    #: The loss that is scaled, and those of the regression side, by name.
    classification_loss = "loss_cls"
    regression_losses: tuple[str, ...] = ("loss_bbox",)
    _default_scale = 1.0
    exact_buffers = _OWN_BUFFERS

    mean_losses: Tensor
    num_unscaled: Tensor
    mean_ratio: Tensor
    num_ratios: Tensor
    #: Of the last iteration; None before the first.
    ratio: Tensor | None = None

    def __init__(
        self,
        *args: Any,
        cls_loss_scale: float | None = None,
        momentum: float = 0.0,
        freeze_after: int | None = None,
        uncertainty: bool = False,
        regression_losses: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        name = type(self).__name__
        if regression_losses is not None:
            known = type(self).regression_losses
            if not regression_losses or not set(regression_losses) <= set(known):
                raise ValueError(
                    f"{name}: `regression_losses` must name one or more of {known}, "
                    f"got {regression_losses}"
                )
            self.regression_losses = tuple(regression_losses)
        if cls_loss_scale is None:
            cls_loss_scale = self._default_scale
        if not 0 < cls_loss_scale < float("inf"):
            raise ValueError(
                f"{name}: `cls_loss_scale` must be > 0, got {cls_loss_scale}"
            )
        if not 0 <= momentum < 1:
            raise ValueError(f"{name}: `momentum` must be in [0, 1), got {momentum}")
        if freeze_after is not None and freeze_after < 1:
            raise ValueError(
                f"{name}: `freeze_after` must be None or >= 1, got {freeze_after}"
            )
        if freeze_after is not None and momentum:
            raise ValueError(
                f"{name}: a ratio can be frozen (freeze_after={freeze_after}) or "
                f"follow running means (momentum={momentum}), not both"
            )
        self.cls_loss_scale = cls_loss_scale
        self.momentum = momentum
        self.freeze_after = freeze_after
        self.register_buffer("mean_losses", torch.zeros(2))
        self.register_buffer("num_unscaled", torch.zeros((), dtype=torch.long))
        if freeze_after is not None:
            self.register_buffer("mean_ratio", torch.zeros(()))
            self.register_buffer("num_ratios", torch.zeros((), dtype=torch.long))
        self.log_sigmas: nn.Parameter | None = None
        if uncertainty:
            self.log_sigmas = nn.Parameter(torch.zeros(1 + len(self.regression_losses)))

    def forget_training(self) -> None:
        """Clear what another training left in the checkpoint that starts this one."""
        with torch.no_grad():
            for name in _OWN_BUFFERS:
                if name in self._buffers:
                    getattr(self, name).zero_()

    def in_effect(self) -> tuple[str, str]:
        """Return how the ratio is taken, and the present one."""
        told = f"momentum {self.momentum}, cls_loss_scale {self.cls_loss_scale}"
        if self.ratio is None:
            return told, "was not called"
        return told, f"classification loss times {float(self.ratio):.3g}"

    def guide(
        self,
        losses: dict[str, Any],
        divisors: Sequence[float] | Tensor | None = None,
        wanted: Sequence[float] | Tensor | None = None,
    ) -> dict[str, Any]:
        """Scale the classification loss of one iteration, in place.

        Every rank must call it in every iteration: it holds the one collective.

        Args:
            losses: Of the head on this rank, each a tensor or a list of tensors.
            divisors: What this rank has divided classification and regression losses
                by, (K,), > 0. None, the default: what all ranks share.
            wanted: What they are to be divided by, (K,), >= 0, this rank's part; the
                mean over ranks is taken. Needed with ``divisors``.

        Returns:
            The losses, and ``guided_ratio`` and ``num_unscaled`` for the log.
        """
        names = [self.classification_loss, *self.regression_losses]
        if missing := [name for name in names if name not in losses]:
            raise TypeError(
                f"{type(self).__name__} cannot be guided: it returns "
                f"{sorted(losses)}, but not {missing}"
            )
        sizes, factors = self._join([losses[name] for name in names], divisors, wanted)
        ratio = self._ratio(sizes[0], sizes[1:].mean())
        self.ratio = ratio
        factors[0] *= self.cls_loss_scale * ratio
        prefix = self.classification_loss.removeprefix("loss_").removesuffix("cls")
        if self.log_sigmas is not None:
            factors = factors * torch.exp(-2 * self.log_sigmas) / 2
            losses[f"loss_{prefix}uncertainty"] = self.log_sigmas.sum()
        for name, factor in zip(names, factors, strict=True):
            losses[name] = _scaled(losses[name], factor)
        losses[f"{prefix}guided_ratio"] = ratio
        losses[f"{prefix}num_unscaled"] = self.num_unscaled.float()
        return losses

    @torch.no_grad()
    def _join(
        self,
        losses: list[Any],
        divisors: Sequence[float] | Tensor | None,
        wanted: Sequence[float] | Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Return losses of all ranks as one process has them, and factors to get there.

        With these factors, the mean over ranks of the gradients, which DDP takes, is
        the gradient of one process with the images of all ranks.
        """
        sizes = torch.stack([_total(loss).float() for loss in losses])
        if divisors is None or wanted is None:
            all_reduce(sizes, op="mean")
            return sizes, torch.ones_like(sizes)
        divided = torch.as_tensor(divisors, dtype=sizes.dtype, device=sizes.device)
        joined = torch.as_tensor(wanted, dtype=sizes.dtype, device=sizes.device)
        joined = torch.stack([sizes * divided, joined])
        all_reduce(joined, op="mean")
        self._after_join(joined[1])
        divisor = torch.where(joined[1] > 0, joined[1], 1.0)
        return joined[0] / divisor, divided / divisor

    def _after_join(self, counts: Tensor) -> None:
        """Take note of what losses are divided by, (K,), the mean over ranks."""

    @torch.no_grad()
    def _ratio(self, classification: Tensor, regression: Tensor) -> Tensor:
        """Return the ratio of two joined losses, a scalar, and keep the state."""
        pair = torch.stack([regression, classification])
        usable = torch.isfinite(pair[0] / pair[1]) & (pair > 0).all()
        # The means start at zero, both alike, which cancels in the ratio.
        mean = self.momentum * self.mean_losses + (1 - self.momentum) * pair
        self.mean_losses.copy_(torch.where(usable, mean, self.mean_losses))
        self.num_unscaled += ~usable
        ratio = mean[0] / mean[1]
        if self.freeze_after is not None:
            is_frozen = self.num_ratios >= self.freeze_after
            is_new = usable & ~is_frozen
            self.num_ratios += is_new
            step = (ratio - self.mean_ratio) / self.num_ratios.clamp(min=1)
            self.mean_ratio += torch.where(is_new, step, torch.zeros_like(step))
            ratio = torch.where(is_frozen, self.mean_ratio, ratio)
        return torch.where(usable, ratio, torch.ones_like(ratio))
