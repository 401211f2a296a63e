import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imb_det.evaluation import CocoMetric
from imb_det.hooks import ImbalanceHook
from imb_det.statistics.frequency_groups import (
    GROUP_NAMES,
    GroupLimits,
    frequency_groups,
)


def as_lists(groups):
    return {name: ids.tolist() for name, ids in groups.items()}


def test_limits_belong_to_the_lower_group():
    counts = [0, 1, 10, 11, 100, 101, 5000]
    assert as_lists(frequency_groups(counts)) == {
        "rare": [0, 1, 2],
        "common": [3, 4],
        "frequent": [5, 6],
    }


def test_other_thresholds_and_absent_groups():
    assert as_lists(frequency_groups([5, 6, 7], (5, 6))) == {
        "rare": [0],
        "common": [1],
        "frequent": [2],
    }
    assert as_lists(frequency_groups([200, 300])) == {"frequent": [0, 1]}
    assert frequency_groups([]) == {}


@given(
    st.lists(st.integers(0, 10**6), max_size=30),
    st.tuples(st.integers(0, 1000), st.integers(1, 1000)),
)
def test_groups_partition_the_classes(counts, limits):
    low, high = limits[0], limits[0] + limits[1]
    groups = frequency_groups(np.array(counts, dtype=int), (low, high))
    assert sorted(i for ids in groups.values() for i in ids) == list(range(len(counts)))
    for name, ids in groups.items():
        assert ids.size
        assert ids.tolist() == sorted(ids)
        for i in ids:
            expected = 0 if counts[i] <= low else 1 if counts[i] <= high else 2
            assert GROUP_NAMES[expected] == name


@pytest.mark.parametrize(
    "counts", [[-1], [1.5], [np.nan], [[1, 2]], ["many"], [np.inf], None]
)
def test_bad_counts(counts):
    with pytest.raises(ValueError, match="image_count"):
        frequency_groups(counts)


@pytest.mark.parametrize("limits", [(10,), (10, 10), (100, 10), (-1, 5), (1, 2, 3)])
def test_bad_thresholds(limits):
    with pytest.raises(ValueError, match="thresholds"):
        frequency_groups([1, 2], limits)


def test_quantiles_replace_the_thresholds():
    counts = [500, 20, 30, 20, 9000, 40]
    groups = frequency_groups(counts, quantiles=(1 / 3, 2 / 3))
    assert {name: ids.tolist() for name, ids in groups.items()} == {
        "rare": [1, 3],
        "common": [2, 5],
        "frequent": [0, 4],
    }
    # Equal counts stay together, whatever the share.
    assert frequency_groups([7, 7, 7, 9], quantiles=(0.25, 0.5))["rare"].tolist() == [
        0,
        1,
        2,
    ]
    for bad in ((0.5,), (0.6, 0.5), (0, 0.5), (0.5, 1)):
        with pytest.raises(ValueError, match="quantiles"):
            frequency_groups(counts, quantiles=bad)


@pytest.mark.parametrize("empty", [[], ()])
def test_no_limits_at_all_are_not_the_usual_ones(empty):
    assert GroupLimits.given() is None
    assert GroupLimits.given(quantiles=[0.2, 0.5]) == GroupLimits(quantiles=(0.2, 0.5))
    for arguments in ((empty, None), (empty, (0.2, 0.5)), (None, empty)):
        with pytest.raises(ValueError, match="must be two numbers"):
            GroupLimits.given(*arguments)
    config = dict(custom_hooks=[dict(type="ImbalanceHook", group_thresholds=empty)])
    with pytest.raises(ValueError, match="`thresholds` must be two numbers"):
        GroupLimits.from_config(config)
    for kind in (CocoMetric, ImbalanceHook):
        with pytest.raises(ValueError, match="`thresholds` must be two numbers"):
            kind(group_thresholds=empty)
