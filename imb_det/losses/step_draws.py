"""Random numbers that depend on a seed and the number of the step alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from imb_det.core import check_number
from imb_det.statistics.running_stats import RunningStats

__all__ = ["StepDraws"]

_BITS = 31
_MASK = (1 << _BITS) - 1


class StepDraws(nn.Module):
    """A counter-based generator in whole numbers, with the steps as its counter.

    It has no state but the number of training steps so far, which is the same on all
    ranks, also where one of them had no boxes, and is saved and resumed. All calls of a
    step get the same numbers, in whatever order they come; so do extra calls, such as
    those of OHEM. Nothing is read back from a device, and all devices draw the same.

    Args:
        owner: Name of the component, for messages.
        seed: Whole number >= 0.

    Raises:
        TypeError, ValueError: The seed is no whole number, or below 0.

    Example:
        >>> draws = StepDraws("Loss", seed=0)
        >>> draws.uniform((1000,), torch.zeros(0)).mean().round(decimals=1)
        tensor(0.5000, dtype=torch.float64)
    """

    def __init__(self, owner: str, seed: int) -> None:
        super().__init__()
        check_number(owner, "seed", seed, 0, None)
        if seed != int(seed):
            raise TypeError(f"{owner}: `seed` must be a whole number, got {seed}")
        self.seed = int(seed)
        #: Rows of the training so far, which ranks together count as one process does.
        self.rows = RunningStats(1, momentum=None)

    def count(self, rows: int) -> None:
        """Say that this is a call of a training step: the next step draws others.

        Args:
            rows: Of the call.
        """
        self.rows.add(self.rows.pending.new_full((1,), rows))

    def uniform(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Return the numbers of this step, float64 in (0, 1), no two of them equal.

        Args:
            shape: Of the numbers.
            like: A tensor of the device where they are wanted.
        """
        size = 1
        for length in shape:
            size = size * length
        start = _mixed(_mixed(self.rows.steps.to(like.device)) + self.seed % _MASK)
        place = torch.arange(size, device=like.device)
        # Whole numbers are mixed one to one, so that there are no ties.
        x = _mixed((start + place) & _MASK)
        return ((x.double() + 0.5) / 2**_BITS).reshape(shape)


def _mixed(x: Tensor) -> Tensor:
    """Map whole numbers of 31 bits one to one to others that look like chance."""
    for _ in range(3):
        x = (x ^ (x >> 16)) * 0x45D9F3B & _MASK
    return x ^ (x >> 16)
