"""Numbers that a model counts during training."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .exact_buffers import ExactBuffers

__all__ = ["RunningStats"]

REDUCTIONS = ("sum", "mean")


class RunningStats(ExactBuffers):
    r"""Mean or sum over training steps of numbers that every call of a step adds to.

    Calls add to ``pending`` on their own rank. After the step, and only then, the
    pending numbers of all ranks are brought together and enter the mean:

    .. math:: m \leftarrow a\, m + (1 - a)\, x, \qquad
              \mathrm{value} = m / (1 - a^t)

    where t counts steps, so that the first steps weigh no less than later ones. So
    there is no collective in a forward pass, which a rank without boxes would miss,
    and during a step all ranks use the same numbers: those of the steps before.

    A step in which no rank adds anything leaves the mean alone. So does one in which a
    number is infinite or none, as when mixed precision overflows: it would stay for
    ever.

    Args:
        size: How many numbers, > 0; None where :meth:`resize` tells it later, on all
            ranks before the first step, or a checkpoint.
        momentum: Share a of the past, in [0, 1). 0 keeps the last step only; None adds
            up all steps for ever: the value is their sum.
        reduction: How numbers of ranks become one, ``'sum'`` or ``'mean'``. With the
            sum, ranks together count what one process counts on their joined batch.

    Attributes:
        mean: Mean without correction, float64 (size,).
        steps: Steps in it, int scalar.
        world_size: Ranks that counted in the last step, int scalar.
        pending: Sum of the step so far on this rank, float64 (size,); not saved.
    """

    mean: Tensor
    steps: Tensor
    world_size: Tensor
    pending: Tensor

    def __init__(
        self, size: int | None, momentum: float | None, reduction: str = "sum"
    ) -> None:
        super().__init__()
        if momentum is not None and not 0 <= momentum < 1:
            raise ValueError(f"`momentum` must be in [0, 1) or None, got {momentum}")
        if reduction not in REDUCTIONS:
            raise ValueError(
                f"`reduction` must be one of {REDUCTIONS}, got {reduction!r}"
            )
        self.momentum = momentum
        self.reduction = reduction
        self.managed = False
        size = 0 if size is None else size
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.register_buffer("world_size", torch.ones((), dtype=torch.long))
        pending = torch.zeros(size, dtype=torch.float64)
        self.register_buffer("pending", pending, persistent=False)

    @property
    def awaited_hooks(self) -> dict[str, str]:
        """What brings each step into the mean, see ``HookWaiter``."""
        return {"ImbalanceHook": "running statistics are brought up to date"}

    @property
    def value(self) -> Tensor:
        """Mean or sum of the steps before, float64 (size,); zeros at first."""
        if self.momentum is None:
            return self.mean
        weight = 1 - self.momentum ** self.steps.double()
        return self.mean / torch.where(self.steps > 0, weight, 1.0)

    def resize(self, size: int) -> None:
        """Start anew with another number of numbers; with the same one, do nothing."""
        if len(self.mean) != size:
            self.mean = self.mean.new_zeros(size)
            self.pending = self.pending.new_zeros(size)
            self.steps.zero_()

    def forget_training(self) -> None:
        """Start anew: what a checkpoint has counted was another training."""
        for numbers in (self.mean, self.steps, self.pending):
            numbers.zero_()

    @torch.no_grad()
    def add(self, numbers: Tensor) -> None:
        """Add to the numbers of this step on this rank.

        Raises:
            RuntimeError: Nothing will ever bring them into the mean.
            ValueError: Another number of them.
        """
        if not self.managed:
            raise RuntimeError(
                "running statistics need the hook that updates them after each step; "
                "add `custom_hooks = [dict(type='imb_det.ImbalanceHook')]` to the "
                "config (in a loop of your own: imb_det.losses.flush_statistics)"
            )
        if numbers.shape != self.pending.shape:
            raise ValueError(
                f"running statistics of {len(self.pending)} numbers got "
                f"{tuple(numbers.shape)}; where their number is known later, call "
                "`resize` in `set_class_stats`, and add `custom_hooks = "
                "[dict(type='imb_det.ImbalanceHook')]` to the config"
            )
        self.pending += numbers

    @torch.no_grad()
    def commit(self, total: Tensor, world_size: int) -> None:
        """End a step.

        Args:
            total: Sum of ``pending`` over ranks, float64 (size,).
            world_size: Number of ranks.
        """
        self.world_size.fill_(world_size)
        if self.reduction == "mean":
            total = total / world_size
        if self.momentum is None:
            mean = self.mean + total
        else:
            mean = self.momentum * self.mean + (1 - self.momentum) * total
        some = (total != 0).any() & total.isfinite().all()
        self.mean.copy_(torch.where(some, mean, self.mean))
        self.steps += some
        self.pending.zero_()

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any
    ) -> None:
        if len(self.mean) == 0 and prefix + "mean" in state_dict:
            self.resize(len(state_dict[prefix + "mean"]))
        super()._load_from_state_dict(state_dict, prefix, *args)
