"""Thresholds and factors by numbers worked out by hand."""

import numpy as np
import pytest

from imb_det.statistics import ClassStats, LabelTable
from imb_det.statistics.class_repeats import (
    auto_threshold,
    class_frequency,
    class_repeat_factors,
)
from imb_det.statistics.repeat_factors import repeat_factors

# 1,000 images; the two classes of more than 100 images are frequent.
STATS = ClassStats("abcd", [400, 101, 100, 4], [500, 2000, 120, 1380], 1000)


def test_frequencies_by_hand():
    by_image, by_box = [0.4, 0.101, 0.1, 0.004], [0.125, 0.5, 0.03, 0.345]
    np.testing.assert_allclose(class_frequency(STATS), by_image)
    np.testing.assert_allclose(class_frequency(STATS, "instance"), by_box)
    geometric = np.sqrt(np.multiply(by_image, by_box))
    np.testing.assert_allclose(class_frequency(STATS, "geometric"), geometric)


@pytest.mark.parametrize(
    ("by", "threshold"),
    [("image", 0.101), ("instance", 0.125), ("geometric", (0.4 * 0.125) ** 0.5)],
)
def test_automatic_threshold_is_the_rarest_frequent_class(by, threshold):
    assert auto_threshold(STATS, by) == pytest.approx(threshold)
    factors = class_repeat_factors(
        class_frequency(STATS, by), auto_threshold(STATS, by)
    )
    assert (factors[:2] == 1).all()


def test_automatic_threshold_without_a_frequent_class():
    small = ClassStats("abc", [40, 20, 0], [50, 80, 0], 80)
    assert auto_threshold(small) == 0.5
    assert auto_threshold(small, "instance") == pytest.approx(80 / 130)
    assert auto_threshold(ClassStats("a", [0], [0], 5)) == 0


def test_largest_factor_is_a_limit():
    found = class_repeat_factors(np.array([0.5, 0.02, 0.001, 0]), 0.5, 1.0, 20)
    assert found.tolist() == [1, 20, 20, 1]


def test_frequencies_may_be_those_of_another_set():
    table = LabelTable.from_labels("abcd", [[0, 3], [2], []])
    factors = repeat_factors(table, 0.4, stats=STATS)
    np.testing.assert_allclose(factors, [10, 2, 1])
