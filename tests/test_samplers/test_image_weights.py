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
from imb_det.statistics import LabelTable
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


def test_class_first_counts_what_wrappers_repeat():
    init_default_scope("mmdet")
    part = dict(type="imb_det.LabelledDataset", num_classes=2)
    first = dict(part, labels_per_image=[[0], [1]])
    dataset = DATASETS.build(
        dict(
            type="ConcatDataset",
            datasets=[
                dict(type="RepeatDataset", times=3, dataset=first),
                dict(part, labels_per_image=[[1]]),
            ],
        )
    )
    sampler = CDBSampler(dataset, by="class", seed=0)
    # Class 0 is behind three indices, class 1 behind four; half of seven each.
    expected = [3.5 / 3, 3.5 / 4] * 3 + [3.5 / 4]
    np.testing.assert_allclose(sampler.expected_copies(0), expected)


def test_level_counts_what_wrappers_repeat():
    init_default_scope("mmdet")
    part = dict(type="imb_det.LabelledDataset", num_classes=2)
    rare = dict(part, labels_per_image=[[1]] * 10)
    dataset = DATASETS.build(
        dict(
            type="ConcatDataset",
            datasets=[
                dict(part, labels_per_image=[[0]] * 80),
                dict(type="RepeatDataset", times=4, dataset=rare),
            ],
        )
    )
    sampler = TargetLevelSampler(dataset, 1.0, seed=0)
    # The wrapper shows 40 boxes of class 1 already.
    np.testing.assert_allclose(sampler.image_weights(0)[-10:], 2, rtol=0.01)
    assert sampler.length == 160
    assert sampler.reached == pytest.approx(sampler.receipt().level, abs=1e-6)


def test_a_set_without_boxes_cannot_be_drawn_by_class():
    for epochs in (None, 3):
        with pytest.raises(ValueError, match="none of the 2 images has a box"):
            ClassAwareSampler(
                LabelledDataset([[], [-1]], 1), progressive_epochs=epochs, seed=0
            )


@pytest.mark.parametrize(("threshold", "factor"), [(0.1, 2.1**0.5), (1.0, 21**0.5)])
def test_one_rare_image_has_its_factor_on_average(threshold, factor):
    dataset = LabelledDataset([*[[0]] * 20, [1]], 2)
    sampler = RepeatFactorSampler(dataset, threshold, seed=0)
    factors = np.array([*[1.0] * 20, factor])
    if threshold == 1.0:
        factors[:20] = 1.05**0.5
    np.testing.assert_allclose(sampler.image_weights(0), factors)
    assert sampler.length == round(factors.sum())
    epochs = 800
    orders = np.concatenate([sampler.order(epoch) for epoch in range(epochs)])
    mean = np.bincount(orders, minlength=21) / epochs
    # The length is whole: half a copy of all images, at most, is added or lacking.
    tolerance = 0.5 / factors.sum() * factors + 4 * 0.5 / np.sqrt(epochs)
    assert (np.abs(mean - factors) < tolerance).all()
    copies, named = sampler.receipt().most_shown[1], sampler.receipt().most_shown[0]
    assert copies == pytest.approx(mean[20], abs=4 * 0.5 / np.sqrt(epochs))
    assert named == "20.jpg"


def test_factors_of_a_whole_sum_are_met_in_every_epoch():
    dataset = LabelledDataset([*[[0]] * 15, [1]], 2)
    sampler = RepeatFactorSampler(dataset, 0.25, seed=0)  # 15 times 1, once 2
    for epoch in range(20):
        assert np.bincount(sampler.order(epoch)).tolist() == [1] * 15 + [2]


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


def test_only_the_main_process_reads_the_classes(monkeypatch):
    table = LabelTable.from_dataset(long_tail())
    # What another rank does: it takes what it is sent.
    monkeypatch.setattr("imb_det.samplers.base.on_main_process", lambda work: table)
    monkeypatch.setattr("imb_det.samplers.base.label_table", pytest.fail)
    assert RepeatFactorSampler(long_tail(), 0.3, seed=0).table is table


def test_a_threshold_below_all_classes_is_a_warning():
    sampler = RepeatFactorSampler(long_tail(), 1e-3, seed=0)
    (warning,) = sampler.receipt().warnings
    assert "does nothing: no class is rarer than repeat_thr=0.001" in warning
    assert "'class_4' (0.0119)" in warning  # on one of 84 images


@pytest.mark.parametrize("cause", [dict(power=0), dict(max_repeat=1)])
def test_settings_that_make_all_factors_one_are_a_warning(cause):
    sampler = RepeatFactorSampler(long_tail(), 0.5, **cause, seed=0)
    (warning,) = sampler.receipt().warnings
    (key,) = cause
    assert f"{key}={cause[key]}" in warning
    assert "no class is rarer" not in warning


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
    expected = 2 * 3 * 8.4**0.5
    assert sampler.receipt().most_shown == ("78.jpg", pytest.approx(expected, rel=0.01))


def test_classes_bound_to_a_frequent_one_are_named():
    frequent = [[0]] * 120
    dataset = LabelledDataset([*frequent, [0, 1], [0, 1], [0, 2], [2]], 3)
    receipt = RepeatFactorSampler(dataset, "auto", seed=0).receipt()
    assert receipt.never_alone == ("class_1",)
    assert "class_1" in receipt.text().splitlines()[-1]
    # Where nothing is raised, nothing comes along.
    assert not RepeatFactorSampler(dataset, 1e-3, seed=0).receipt().never_alone


def test_without_frequent_classes_the_most_frequent_one_stands_for_them():
    dataset = LabelledDataset([*[[0]] * 30, [0, 1], [0, 1], [0, 2], [2]], 3)
    receipt = RepeatFactorSampler(dataset, "auto", seed=0).receipt()
    assert "frequent" not in receipt.groups
    assert receipt.never_alone == ("class_1",)


def test_most_shown_is_an_image_and_not_an_index():
    part = dict(type="imb_det.LabelledDataset", num_classes=2)
    init_default_scope("mmdet")
    first = dict(part, labels_per_image=[[0], [0], [0]])
    dataset = DATASETS.build(
        dict(
            type="ConcatDataset",
            datasets=[
                dict(type="RepeatDataset", times=4, dataset=first),
                dict(part, labels_per_image=[[0], [1]]),
            ],
        )
    )
    receipt = RepeatFactorSampler(dataset, 0.4, seed=0).receipt()
    # Image 0 four times; the rarest one, which has the largest weight, sqrt(2) times.
    name, copies = receipt.most_shown
    assert (name, round(copies)) == ("0.jpg", 4)


def test_a_level_out_of_reach_is_a_warning():
    sampler = TargetLevelSampler(long_tail(), 1.0, max_repeat=2.0, seed=0)
    assert sampler.reached < 0.5
    (warning,) = sampler.receipt().warnings
    assert f"level {sampler.reached:.3f} is reached where 1 is wanted" in warning


def test_weights_for_another_number_of_classes_are_refused():
    sampler = CDBSampler(long_tail(), seed=0)
    with pytest.raises(ValueError, match=r"got \(5,\) weights.* has 6 classes"):
        sampler.set_class_difficulty_weights(np.ones(5))


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_weights_that_are_none_are_refused(bad):
    sampler = CDBSampler(long_tail(), seed=0)
    with pytest.raises(ValueError, match=r"finite and >= 0.* 1 classes .*class_2: "):
        sampler.set_class_difficulty_weights(np.array([1, 1, bad, 1, 1, 1]))
    assert not sampler.informed


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (dict(repeat_thr=1.0, power=1.0), "makes an epoch 10.0 times as long: 100"),
        (dict(repeat_thr=1.0, power=0.5), None),
        (dict(repeat_thr=1.0, power=1.0, max_repeat=3), None),
        (dict(repeat_thr=1.0, power=1.0, num_samples=60), None),
    ],
)
def test_an_epoch_that_grows_much_is_a_warning(arguments, told):
    labels = [[c] for c in range(10)]
    sampler = RepeatFactorSampler(LabelledDataset(labels, 10), **arguments)
    said = [line for line in sampler.receipt().warnings if "times as long" in line]
    assert [told in line for line in said] == [True] * (told is not None)


def test_an_epoch_that_nobody_can_mean_is_refused():
    dataset = LabelledDataset([[0]] * 9 + [[0, 1]], 2)
    with pytest.raises(ValueError, match=r"an epoch would have 1e\+\d+ images"):
        RepeatFactorSampler(dataset, repeat_thr=1, power=30.0)
    with pytest.raises(ValueError, match="1 of 10 images have no finite weight"):
        RepeatFactorSampler(dataset, repeat_thr=1, power=1e9)
