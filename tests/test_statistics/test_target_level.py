"""Weights that bring classes towards a level of balance."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse

from imb_det.statistics import LabelTable
from imb_det.statistics.target_level import (
    _cost,
    balance_level,
    level_targets,
    level_weights,
)

LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)


def table_of(images):
    num_classes = max(map(max, filter(None, images))) + 1
    return LabelTable.from_labels([f"class_{c}" for c in range(num_classes)], images)


def crowded(seed=0, num_images=400, num_classes=12):
    """Images with up to five boxes of classes by Zipf's law."""
    rng = np.random.default_rng(seed)
    share = np.arange(1, num_classes + 1) ** -1.5
    share /= share.sum()
    return table_of(
        [
            rng.choice(num_classes, rng.integers(0, 6), p=share).tolist()
            for _ in range(num_images)
        ]
    )


def test_level_of_counts():
    original = np.array([100, 10, 1, 0])
    assert balance_level(original, original) == 0
    assert balance_level(np.array([5, 5, 5, 0]), original) == 1
    assert balance_level(np.array([100, 10, 10, 0]), original) == pytest.approx(0.5)
    assert balance_level(np.array([1000, 10, 1, 0]), original) == pytest.approx(-0.5)
    assert balance_level(np.zeros(2), np.zeros(2)) == 1


@pytest.mark.parametrize("oversample", [True, False])
@pytest.mark.parametrize("level", LEVELS)
def test_images_of_one_class_each_meet_their_targets(level, oversample):
    table = table_of([*[[0]] * 160, *[[1]] * 40, *[[2]] * 10, []])
    weights = level_weights(table, level, oversample, max_repeat=100)
    ends = {True: 160, False: 10}
    by_hand = [n ** (1 - level) * ends[oversample] ** level for n in (160, 40, 10)]
    original = np.array([160, 40, 10])
    np.testing.assert_allclose(level_targets(original, level, oversample), by_hand)
    np.testing.assert_allclose(table.instances_of(weights), by_hand, rtol=0.01)
    assert weights[-1] == 1
    assert np.ptp(weights[:160]) < 1e-6


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("oversample", [True, False])
def test_classes_that_share_images_get_as_near_as_they_can(seed, oversample):
    table = crowded(seed)
    original = table.instances_of()
    reached, images = [], []
    for level in LEVELS:
        weights = level_weights(table, level, oversample)
        low, high = (1, 10) if oversample else (1e-3, 1)
        assert low - 1e-9 <= weights.min()
        assert weights.max() <= high + 1e-9
        reached.append(balance_level(table.instances_of(weights), original))
        images.append(weights.sum())
    assert reached[:2] == pytest.approx([0, 0.25], abs=0.03)
    # Who wants more gets more, up to what is possible.
    assert all(more > less - 0.05 for less, more in pairwise(reached))
    # Out of reach: the images are not all raised to the limit in vain.
    assert not oversample or images[-1] < 3 * len(table)


def test_slope_is_that_of_the_cost():
    table = crowded(num_images=20, num_classes=4)
    has_box = np.flatnonzero(np.diff(table.offsets))
    counts = scipy.sparse.csr_matrix(
        (np.ones(len(table.labels)), table.labels, table.offsets),
        shape=(len(table), len(table.classes)),
    )[has_box]
    rng = np.random.default_rng(0)
    wanted = rng.normal(3, 1, counts.shape[1])
    arguments = counts, counts.T.tocsr(), wanted
    for _ in range(5):
        point = rng.normal(0, 1, has_box.size)
        _, slope = _cost(point, *arguments)
        found = scipy.optimize.approx_fprime(
            point, lambda x: _cost(x, *arguments)[0], 1e-7
        )
        np.testing.assert_allclose(slope, found, atol=1e-5)
