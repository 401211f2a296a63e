"""Copies by systematic resampling."""

import numpy as np
import pytest

from imb_det.statistics.systematic import draw_copies, epoch_length


def test_whole_numbers_are_met():
    rng = np.random.default_rng(0)
    expected = np.array([0.0, 3.0, 1.0])
    assert draw_copies(expected, 4, rng).tolist() == [0, 3, 1]


def test_every_combination_comes_up():
    # In the order of the items, neighbours would never be drawn together.
    rng = np.random.default_rng(0)
    drawn = [tuple(draw_copies(np.full(4, 0.5), 2, rng)) for _ in range(600)]
    kinds, numbers = np.unique(drawn, axis=0, return_counts=True)
    assert len(kinds) == 6
    # The mean is 100, the deviation 9.
    assert numbers.min() > 60
    assert (kinds.sum(1) == 2).all()


@pytest.mark.parametrize(
    ("expected", "length"), [([0.2], 1), ([1.0, 1.4], 2), ([1.0, 1.6], 3), ([], 1)]
)
def test_length_is_the_nearest_whole_number(expected, length):
    assert epoch_length(np.array(expected)) == length
