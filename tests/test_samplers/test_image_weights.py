"""Weights of the samplers against their formulas, numbers by hand, and warnings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.registry import DATASETS
from mmengine.registry import init_default_scope

from imb_det.samplers import (
    CDBSampler,
    ClassAwareSampler,
    RepeatFactorSampler,
    TargetLevelSampler,
)
from tests.labelled_sets import LONG_TAIL, LabelledDataset, label_sets, long_tail
from tests.references import sampling

FEW = settings(max_examples=40)


@FEW
@given(
    content=label_sets(),
    threshold=st.floats(0, 1),
    power=st.floats(0, 1),
    by=st.sampled_from(["image", "instance", "geometric"]),
    max_repeat=st.one_of(st.none(), st.floats(1, 5)),
)
def test_repeat_factors(content, threshold, power, by, max_repeat):
    sets, num_classes = content
    sampler = RepeatFactorSampler(
        LabelledDataset(sets, num_classes), threshold, power, by, max_repeat, seed=0
    )
    expected = sampling.repeat_factors(
        sets, num_classes, threshold, power, by, max_repeat or np.inf
    )
    np.testing.assert_allclose(sampler.image_weights(0), expected)


@FEW
@given(content=label_sets(), power=st.floats(0, 1))
def test_class_first_then_image(content, power):
    sets, num_classes = content
    dataset = LabelledDataset(sets, num_classes)
    sampler = ClassAwareSampler(dataset, power, num_samples=50, seed=0)
    probability = sampling.class_first_probability(sets, num_classes, power)
    np.testing.assert_allclose(
        sampler.expected_copies(0), 50 * np.array(probability), atol=1e-9
    )


@FEW
@given(
    content=label_sets(), by=st.sampled_from(["max", "mean", "class"]), data=st.data()
)
def test_weights_by_difficulty(content, by, data):
    sets, num_classes = content
    weight = st.floats(0.1, 10)
    weights = data.draw(st.lists(weight, min_size=num_classes, max_size=num_classes))
    sampler = CDBSampler(LabelledDataset(sets, num_classes), by, seed=0)
    sampler.set_class_difficulty_weights(np.array(weights))
    expected = np.array(sampling.difficulty_weights(sets, weights, by))
    scale = len(sets) / expected.sum()
    np.testing.assert_allclose(sampler.expected_copies(0), expected * scale)


def test_progressive_sampling_goes_from_images_to_classes():
    dataset = LabelledDataset([[0], [0], [0], [1], []], 2)
    sampler = ClassAwareSampler(dataset, progressive_epochs=3, seed=0)
    natural = np.ones(5)
    by_class = 5 * np.array([1 / 6, 1 / 6, 1 / 6, 1 / 2, 0])
    np.testing.assert_allclose(sampler.expected_copies(0), natural)
    np.testing.assert_allclose(sampler.expected_copies(1), (natural + by_class) / 2)
    for epoch in (2, 3, 10):
        np.testing.assert_allclose(sampler.expected_copies(epoch), by_class)


def test_progressive_sampling_counts_what_wrappers_repeat():
    init_default_scope("mmdet")
    part = dict(type="imb_det.LabelledDataset", num_classes=2)
    first = dict(part, labels_per_image=[[0], []])
    dataset = DATASETS.build(
        dict(
            type="ConcatDataset",
            datasets=[
                dict(type="RepeatDataset", times=3, dataset=first),
                dict(part, labels_per_image=[[1], [0, 1]]),
            ],
        )
    )
    sampler = ClassAwareSampler(dataset, progressive_epochs=2, seed=0)
    np.testing.assert_allclose(sampler.expected_copies(0), np.ones(8))
    # Class 0 is behind four indices, class 1 behind two.
    of_0, of_1 = 8 * 0.5 / 4, 8 * 0.5 / 2
    expected = [of_0, 0, of_0, 0, of_0, 0, of_1, of_0 + of_1]
    np.testing.assert_allclose(sampler.expected_copies(1), expected)


def test_a_set_without_boxes_cannot_be_drawn_by_class():
    with pytest.raises(ValueError, match="none of the 2 images has a box"):
        ClassAwareSampler(LabelledDataset([[], [-1]], 1), seed=0)


def test_no_image_is_lost_where_weights_are_copies():
    sampler = RepeatFactorSampler(long_tail(), 0.3, seed=0)
    for epoch in range(20):
        assert set(sampler.order(epoch)) == set(range(len(LONG_TAIL)))


def test_images_that_a_subset_leaves_out_count_for_nothing():
    subset = long_tail(indices=[*range(60, 70), 78])
    alone = LabelledDataset([LONG_TAIL[i] for i in [*range(60, 70), 78]], 6)
    for build in (
        lambda d: RepeatFactorSampler(d, "auto", seed=0),
        lambda d: ClassAwareSampler(d, seed=0),
        lambda d: TargetLevelSampler(d, 0.8, seed=0),
    ):
        np.testing.assert_allclose(
            build(subset).expected_copies(0), build(alone).expected_copies(0)
        )


def test_a_threshold_below_all_classes_is_a_warning():
    sampler = RepeatFactorSampler(long_tail(), 1e-3, seed=0)
    (warning,) = sampler.receipt().warnings
    assert "does nothing: no class is rarer than repeat_thr=0.001" in warning
    assert "'class_4' (0.0119)" in warning  # on one of 84 images


def test_classes_that_share_all_images_are_a_warning():
    dataset = LabelledDataset([[0, 0, 0, 0, 1]] * 20, 2)
    sampler = RepeatFactorSampler(dataset, 0.8, by="instance", seed=0)
    (warning,) = sampler.receipt().warnings
    assert "hardly changes how balanced the classes are" in warning


def test_a_wrapper_that_repeats_too_is_a_warning():
    init_default_scope("mmdet")
    inner = dict(
        type="imb_det.LabelledDataset", labels_per_image=LONG_TAIL, num_classes=6
    )
    wrapper = dict(type="ClassBalancedDataset", oversample_thr=0.1, dataset=inner)
    dataset = DATASETS.build(dict(type="RepeatDataset", times=2, dataset=wrapper))
    sampler = RepeatFactorSampler(dataset, 0.1, seed=0)
    (warning,) = sampler.receipt().warnings
    assert "ClassBalancedDataset (oversample_thr=0.1)" in warning
    # Both together: images of class 4 have factor sqrt(8.4) in either.
    assert sampler.receipt().most_shown == ("78.jpg", pytest.approx(2 * 3 * 8.4**0.5))


def test_classes_bound_to_a_frequent_one_are_named():
    frequent = [[0]] * 120
    dataset = LabelledDataset([*frequent, [0, 1], [0, 1], [0, 2], [2]], 3)
    receipt = RepeatFactorSampler(dataset, "auto", seed=0).receipt()
    assert receipt.never_alone == ("class_1",)
    assert "class_1" in receipt.text().splitlines()[-1]


def test_a_level_out_of_reach_is_a_warning():
    sampler = TargetLevelSampler(long_tail(), 1.0, max_repeat=2.0, seed=0)
    assert sampler.reached < 0.5
    (warning,) = sampler.receipt().warnings
    assert f"level {sampler.reached:.3f} is reached where 1 is wanted" in warning


def test_weights_for_another_number_of_classes_are_refused():
    sampler = CDBSampler(long_tail(), seed=0)
    with pytest.raises(ValueError, match=r"got \(5,\) weights.* has 6 classes"):
        sampler.set_class_difficulty_weights(np.ones(5))
