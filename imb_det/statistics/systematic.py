"""Whole numbers of copies whose mean is the number that is wanted."""

from __future__ import annotations

import numpy as np

__all__ = ["draw_copies", "epoch_length"]


def epoch_length(expected: np.ndarray) -> int:
    """Return the whole number of copies that is nearest to the sum, at least 1."""
    return max(1, round(float(expected.sum())))


def draw_copies(
    expected: np.ndarray, length: int, rng: np.random.Generator
) -> np.ndarray:
    r"""Draw copies of items by systematic resampling.

    An item that is expected :math:`e_i` times gets :math:`\lfloor e_i \rfloor` copies
    for certain. The copies that are left are drawn with one random number: the
    fractions stand on a line in random order, and evenly spaced points hit them. So
    the number of copies is the same each time, and an item gets
    :math:`\lfloor e_i \rfloor` copies or one more.

    Args:
        expected: Copies on average, >= 0, (n,), with sum ``length``.
        length: Copies that are drawn in all.
        rng: Source of randomness.

    Returns:
        Copies of each item, int64 (n,), with sum ``length``.

    Source: Kitagawa, "Monte Carlo Filter and Smoother for Non-Gaussian Nonlinear State
    Space Models", 1996 (systematic resampling).
    """
    copies = np.floor(expected).astype(np.int64)
    extra = length - int(copies.sum())
    if extra == 0:
        return copies
    order = rng.permutation(len(expected))
    line = np.cumsum((expected - copies)[order])
    points = (rng.random() + np.arange(extra)) * (line[-1] / extra)
    hit = np.minimum(np.searchsorted(line, points, "right"), len(line) - 1)
    np.add.at(copies, order[hit], 1)
    return copies
