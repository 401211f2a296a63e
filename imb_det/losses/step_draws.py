"""Random numbers that depend on a seed and the number of the step alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from imb_det.core import check_number
from imb_det.statistics.running_stats import RunningStats

from .one_pass import can_look
from .terms import Call

__all__ = ["StepDraws", "drawn_or_mean"]

_BITS = 31
_MASK = (1 << _BITS) - 1

# Levels that elements are drawn with, and how many of them a whole number makes.
_LEVELS, _DIGITS = 255, 3
# Places where rows begin to read, a power of 2, and an odd step from row to row: none
# has its second row before all have one.
_PLACES, _STEP = 1 << 14, 7735


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
        return _between(self._whole(size, like)).reshape(shape)

    def elements(self, share: Tensor) -> Callable[[Tensor], Tensor]:
        """Return a function that draws elements, each with a probability of its own.

        Rows read from one long row of numbers, each from another place: that takes a
        fraction of the time of fresh numbers.

        Args:
            share: Probability of each column in rows of each kind, float (G, K) in
                [0, 1].

        Returns:
            Function of the kinds of some rows, int (n,) in [0, G), which tells what is
            drawn, bool (n, K). It is called for one part of a call after the other.
        """
        columns = share.size(1)
        words = -(-(_PLACES + columns) // _DIGITS)
        whole = self._whole(words + share.numel(), share)
        # Rounded at random, so that each element has exactly its probability.
        bound = _LEVELS * share.double() + _between(whole[words:]).view_as(share)
        bound = bound.floor().to(torch.uint8)
        digits, rest = [], whole[:words]
        for _ in range(_DIGITS):
            rest = rest * _LEVELS
            digits.append(rest >> _BITS)
            rest = rest & _MASK
        levels = torch.stack(digits, 1).to(torch.uint8).flatten()
        done = 0

        def drawn(kind: Tensor) -> Tensor:
            nonlocal done
            rows = torch.arange(len(kind), device=kind.device) + done
            if not torch.compiler.is_compiling():  # there a call has one part
                done += len(kind)
            place = rows * _STEP % _PLACES
            level = levels.unfold(0, columns, 1).index_select(0, place)
            return level < bound.index_select(0, kind)

        return drawn

    def _whole(self, size: int, like: Tensor) -> Tensor:
        """Return whole numbers of this step, int64 (size,), no two of them equal."""
        start = _mixed(_mixed(self.rows.steps.to(like.device)) + self.seed % _MASK)
        place = torch.arange(size, device=like.device)
        # Whole numbers are mixed one to one, so that there are no ties.
        return _mixed((start + place) & _MASK)


def drawn_or_mean(
    draws: StepDraws | None, share: Tensor, call: Call
) -> Callable[[Tensor], Tensor]:
    """Return what :meth:`StepDraws.elements` draws, or without draws, its mean.

    Args:
        draws: Of the loss; they are told of a call of a training step. None for means.
        share: Probability of each column in rows of each kind, (G, K).
        call: That the elements are of.

    Returns:
        Function of the kinds of some rows, int (n,) in [0, G): bool (n, K) where
        elements are drawn, or all shares are 0 or 1; else these shares.
    """
    if draws is not None:
        taken = draws.elements(share)
        if call.learn:
            draws.count(len(call.label))
        return taken
    if can_look(share) and bool((share == share.bool()).all()):
        share = share.bool()  # nothing in between: quicker

    # A compiler cannot look into a `partial` of a method of tensors.
    def factors(kind: Tensor) -> Tensor:
        return share.index_select(0, kind)

    return factors


def _between(whole: Tensor) -> Tensor:
    """Return numbers in (0, 1), float64, for whole ones."""
    return (whole.double() + 0.5) / 2**_BITS


def _mixed(x: Tensor) -> Tensor:
    """Map whole numbers of 31 bits one to one to others that look like chance."""
    for _ in range(3):
        x = (x ^ (x >> 16)) * 0x45D9F3B & _MASK
    return x ^ (x >> 16)
