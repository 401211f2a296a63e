import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imb_det.difficulty import ClassDifficultyHook
from imb_det.difficulty.class_difficulty import (
    difficulty_weights,
    dynamic_tau,
    fill_unmeasured,
    smooth_accuracy,
)
from imb_det.difficulty.tracker import DifficultyTracker
from imb_det.statistics import ClassStats
from tests.references import class_difficulty as reference

NAN = float("nan")
SHARE = st.floats(0, 1)
ACCURACY = st.lists(SHARE, min_size=1, max_size=12)
FORM = st.sampled_from(("dynamic", "dynamic_cifar"))
RATIO = st.none() | st.floats(1, 1e6)


def stats_of(image_count):
    names = tuple(f"c{i}" for i in range(len(image_count)))
    return ClassStats(names, image_count, image_count, max(image_count))


@pytest.mark.parametrize(
    ("accuracy", "tau"),
    [
        ([0.98, 0.99], 1.0),  # b = 0
        ([0.0, 0.0], 2 / (1 + math.e)),  # b = -1
        ([0.24, 0.5], 2 / (1 + math.exp(-1))),  # b = 1
        ([0.0, 1.0], 2.0),  # b = 99
    ],
)
def test_tau_by_hand(accuracy, tau):
    assert dynamic_tau(accuracy) == pytest.approx(tau, rel=1e-12)


@pytest.mark.parametrize(
    ("accuracy", "tau"),
    [
        ([0.98, 0.99], 1 / (1 + math.exp(-1))),  # r = 1
        ([0.0, 0.0], 0.5),  # r = 0
        ([0.24, 0.5], 1 / (1 + math.exp(-2))),  # r = 2
        ([0.0, 1.0], 1.0),  # r = 100
    ],
)
def test_tau_of_cifar_by_hand(accuracy, tau):
    assert dynamic_tau(accuracy, "dynamic_cifar") == pytest.approx(tau, rel=1e-12)
    assert difficulty_weights(accuracy, "dynamic_cifar")[1] == pytest.approx(tau)
    with pytest.raises(ValueError, match=r"'dynamic_cifar'\), got 'cifar'"):
        dynamic_tau(accuracy, "cifar")


@pytest.mark.parametrize(
    ("accuracy", "tau", "max_ratio", "weights"),
    [
        ([0.25, 0.75], 1, None, [1.5, 0.5]),
        ([0.25, 0.75], 2, None, [1.8, 0.2]),
        ([0.25, 0.75], 2, 3, [1.5, 0.5]),
        ([1, 0, 0.5], 1, None, [0, 2, 1]),
        ([1, 0, 0.5], 1, 10, [3 / 16, 30 / 16, 15 / 16]),
        ([0.3, 0.9], 0, 10, [1, 1]),
    ],
)
def test_weights_by_hand(accuracy, tau, max_ratio, weights):
    found, used = difficulty_weights(accuracy, tau, max_ratio)
    assert found == pytest.approx(weights, rel=1e-12)
    assert used == tau


@given(ACCURACY, SHARE.map(lambda x: 5 * x), RATIO, FORM)
def test_equals_the_reference(accuracy, tau, max_ratio, form):
    wanted = reference.difficulty_weights(accuracy, tau, max_ratio)
    found = difficulty_weights(accuracy, tau, max_ratio)[0]
    assert found == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    dynamic, used = difficulty_weights(accuracy, form, max_ratio)
    assert used == pytest.approx(reference.dynamic_tau(accuracy, form))
    wanted = reference.difficulty_weights(accuracy, used, max_ratio)
    assert dynamic == pytest.approx(wanted, rel=1e-9, abs=1e-12)


@given(SHARE, st.integers(1, 40), FORM | st.floats(0, 50), RATIO)
def test_uniform_accuracy_gives_ones(accuracy, num_classes, tau, max_ratio):
    found, _tau = difficulty_weights([accuracy] * num_classes, tau, max_ratio)
    assert found.tolist() == [1.0] * num_classes


@given(ACCURACY, FORM | st.floats(0, 1e6), RATIO)
def test_sum_order_and_limit(accuracy, tau, max_ratio):
    found, _tau = difficulty_weights(accuracy, tau, max_ratio)
    assert np.isfinite(found).all()
    assert found.sum() == pytest.approx(len(accuracy))
    assert (np.diff(found[np.argsort(accuracy)]) <= 0).all()
    if max_ratio is not None:
        assert found.max() <= max_ratio * found.min() * (1 + 1e-12)


@pytest.mark.parametrize("accuracy", [[0.5, NAN], [1.1], [-0.1], [], [[0.5]]])
def test_bad_accuracies(accuracy):
    with pytest.raises(ValueError, match="`accuracy` needs one number in"):
        difficulty_weights(accuracy, 1.0)
    with pytest.raises(ValueError, match="`accuracy` needs one number in"):
        dynamic_tau(accuracy)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (dict(tau="static"), r"one of \('dynamic', 'dynamic_cifar'\) or .*'static'"),
        (dict(tau=-1), "`tau` must be .* got -1"),
        (dict(tau=NAN), "`tau` must be .* got nan"),
        (dict(tau=math.inf), "`tau` must be .* got inf"),
        (dict(max_ratio=0.5), "`max_ratio` must be .* got 0.5"),
    ],
)
def test_bad_arguments(arguments, match):
    with pytest.raises(ValueError, match=match):
        difficulty_weights([0.5, 0.6], **arguments)


def test_the_first_value_is_taken_as_it_is():
    found = smooth_accuracy([NAN, 0.2, 0.2, NAN], [0.9, 0.6, NAN, NAN], 0.75)
    assert found == pytest.approx([0.9, 0.3, 0.2, NAN], nan_ok=True)


def test_filling_by_hand():
    #         rare: 0.1, 0.3, ?   frequent: 0.8   common: ?
    filled, by_group = fill_unmeasured([0.1, 0.3, NAN, 0.8, NAN], [1, 2, 9, 999, 50])
    assert filled == pytest.approx([0.1, 0.3, 0.2, 0.8, 0.4])
    assert by_group.tolist() == [False, False, True, False, False]
    filled, by_group = fill_unmeasured([NAN, NAN], [1, 2])
    assert np.isnan(filled).all()
    assert not by_group.any()


@given(
    st.lists(st.lists(st.none() | SHARE, min_size=4, max_size=4), max_size=4),
    st.lists(st.integers(0, 200), min_size=4, max_size=4),
    st.floats(0, 0.99),
    FORM,
)
def test_following_equals_the_reference(measurements, image_count, momentum, form):
    tracker = DifficultyTracker(stats_of(image_count), form, momentum)
    for position, measured in enumerate(measurements, 1):
        tracker.update([NAN if a is None else a for a in measured], position)
    wanted = reference.follow(measurements, momentum, image_count)
    if wanted[0] is None:
        assert np.isnan(tracker.filled).all()
        assert tracker.weights.tolist() == [1.0] * 4
        return
    assert tracker.filled == pytest.approx(wanted)
    tau = reference.dynamic_tau(wanted, form)
    weights = reference.difficulty_weights(wanted, tau, 100.0)
    assert tracker.weights == pytest.approx(weights, rel=1e-6)
    assert tracker.last_update == len(measurements)


def test_nothing_measured_changes_nothing():
    tracker = DifficultyTracker(stats_of([1, 20]), tau=1.0)
    assert "the weights stay 1" in tracker.update([NAN, NAN], 1)
    assert tracker.weights.tolist() == [1, 1]
    tracker.update([0.25, 0.75], 2)
    tracker.update([NAN, NAN], 3)
    assert tracker.weights == pytest.approx([1.5, 0.5])


def test_the_line_names_extremes_and_missing_classes():
    tracker = DifficultyTracker(stats_of([5, 5, 5, 50, 500, 5, 5, 5, 5]), tau=1.0)
    tracker.update([0.5] + [NAN] * 8, 1)
    line = tracker.update([NAN, 0.9, 0.1, NAN, NAN, NAN, NAN, NAN, NAN], 2)
    assert line.startswith("tau 1.000, mean accuracy 0.500; hardest: 'c2' 0.100 (")
    assert "; easiest: 'c1' 0.900 (weight 0.2), 'c" in line
    assert "; 1 not measured keep their accuracy: ['c0']" in line
    assert "; 4 not measured take the mean of their frequency group: ['c5', " in line
    assert line.endswith("; 2 not measured take the mean of all classes: ['c3', 'c4']")


def test_a_stored_tracker_continues_alike():
    stats = stats_of([1, 20, 300])
    first, second = (DifficultyTracker(stats) for _ in range(2))
    first.update([0.1, NAN, 0.7], 1)
    second.load_dict(json.loads(json.dumps(first.to_dict())))
    assert second.to_dict() == first.to_dict()
    lines = [tracker.update([0.3, 0.4, NAN], 2) for tracker in (first, second)]
    assert lines[0] == lines[1]
    assert second.to_dict() == first.to_dict()


def test_a_tracker_of_other_classes_is_refused():
    content = DifficultyTracker(stats_of([1, 2])).to_dict()
    with pytest.raises(ValueError, match=r"2 classes \('c0', 'c1'\), but .* 3 classes"):
        DifficultyTracker(stats_of([1, 2, 3])).load_dict(content)


def test_other_counts_guide_the_next_update():
    tracker = DifficultyTracker(stats_of([5, 5, 500]))
    tracker.update([0.2, NAN, 0.8], 1)
    assert tracker.filled[1] == 0.2
    tracker.set_class_stats(stats_of([5, 400, 500]))
    tracker.update([0.2, NAN, 0.8], 2)
    assert tracker.filled[1] == 0.8
    with pytest.raises(ValueError, match="2 classes"):
        tracker.set_class_stats(stats_of([5, 400]))


def test_the_hook_takes_counts_again_in_mid_training():
    hook = ClassDifficultyHook("score")
    hook.set_class_stats(stats_of([5, 5]))
    hook.tracker = DifficultyTracker(hook.class_stats)  # as when training starts
    hook.set_class_stats(stats_of([5, 50]))
    assert hook.tracker.stats == stats_of([5, 50])
