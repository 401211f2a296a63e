"""The code in which COCO compresses run lengths, read many masks at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["pixels_of"]

_DIGITS = 6  # of a number in run lengths, of 5 bits each
#: What the last digit of a number stands for.
_SIGNED = np.append(np.arange(16), np.arange(16) - 16).astype(np.int32)


def pixels_of(counts: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read compressed run lengths and count pixels.

    A number is written in digits of 5 bits, the lowest first, each a character from
    '0' on, of which bit 5 says that more follow, and bit 4 of the last one the sign.
    From the third run on, it is the difference to the run before the last.

    Args:
        counts: Of n masks.

    Returns:
        Pixels of all runs and of those that are the mask, float64 (n,), and whether
        the run lengths are well formed, bool (n,); the pixels are 0 where not all are.
    """
    length = np.array([len(own) for own in counts], np.int64)
    digits = np.frombuffer(b"".join(counts), np.uint8) - np.uint8(48)
    ends = np.cumsum(length)
    last = np.flatnonzero((digits & 32) == 0)  # of each number
    size = np.diff(last, prepend=-1)
    is_valid = length > 0
    is_valid[is_valid] = (digits[ends[is_valid] - 1] & 32) == 0
    for places in (np.flatnonzero(digits >= 64), last[size > _DIGITS]):
        is_valid[np.searchsorted(ends, places, side="right")] = False
    if not is_valid.all():
        return np.zeros(len(length)), np.zeros(len(length)), is_valid

    # In 32 bits, which go round as those of the library in C do.
    values = _SIGNED[digits[last]]
    long = np.flatnonzero(size > 1)
    values[long] <<= 5 * (size[long] - 1)
    for place in range(1, int(size.max(initial=1))):
        long = long[size[long] > place]
        digit = (digits[last[long] - place] & 31).astype(np.int32)
        values[long] |= digit << (5 * (size[long] - 1 - place))

    until = np.searchsorted(last, ends)
    number = np.diff(until, prepend=0)  # of runs, of each mask
    begin = until - number
    runs = _undo_differences(values, begin, number)
    if runs.min(initial=0) < 0:
        is_valid = np.minimum.reduceat(runs, begin) >= 0
    total = np.add.reduceat(runs, begin, dtype=np.int64) if len(begin) else runs
    # Every other run is the mask: those at odd places, if its first is at an even one.
    runs[1::2] *= -1
    apart = np.add.reduceat(runs, begin, dtype=np.int64) if len(begin) else runs
    area = (total - np.where(begin % 2 == 0, apart, -apart)) / 2
    return total.astype(float), area, is_valid


def _undo_differences(
    values: np.ndarray, begin: np.ndarray, number: np.ndarray
) -> np.ndarray:
    """Return run lengths, each the sum of every other number up to its own.

    Args:
        values: The first and second number of each mask, and from the fourth on the
            difference to the run before the last, int32 (R,); changed in place.
        begin: First number of each mask, (n,).
        number: Numbers of each mask, (n,).
    """
    alone = values[begin]
    values[begin] = 0  # the third number is no difference
    pairs = np.zeros((len(values) + 3) // 2 * 2, np.int32)
    pairs[2 : len(values) + 2] = values[: len(pairs) - 2]
    total = pairs.reshape(-1, 2).cumsum(0, dtype=np.int32).ravel()
    # What comes before the mask, at places of its parity, and of the other one.
    same, other = total[begin], total[begin + 1]
    is_even = begin % 2 == 0
    runs = total[2 : len(values) + 2]
    runs[::2] -= np.repeat(np.where(is_even, same, other), number)[::2]
    runs[1::2] -= np.repeat(np.where(is_even, other, same), number)[1::2]
    runs[begin] = alone
    return runs
