import numpy as np
import pytest

from imb_det.statistics.imbalance_measures import gini, imbalance_ratio


def test_by_hand():
    assert imbalance_ratio([1, 3, 0]) == 3
    # All differences, both ways: 2 (2 + 1 + 3), by 2 C and the sum.
    assert gini([1, 3, 0]) == pytest.approx(12 / (2 * 3 * 4))


def test_equals_the_double_sum():
    counts = np.random.default_rng(0).integers(0, 50, 17)
    differences = np.abs(counts[:, None] - counts).sum()
    assert gini(counts) == pytest.approx(differences / (2 * 17 * counts.sum()))
    assert gini(10 * counts) == pytest.approx(gini(counts))


def test_limits():
    assert gini([5, 5]) == 0
    assert imbalance_ratio([5, 5]) == 1
    assert np.isnan(gini([0, 0]))
    assert np.isnan(imbalance_ratio([0, 0]))
