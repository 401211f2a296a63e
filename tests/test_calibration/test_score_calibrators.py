"""Calibrators of scores, and the numbers that are fitted for them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from imb_det.calibration import (
    ClassScoreThreshold,
    ScoreCalibrator,
    Temperature,
    VectorScaling,
)
from imb_det.calibration.operating_figures import compare_operating_figures
from imb_det.calibration.score_fitting import (
    average_k_threshold,
    fit_temperature,
    fit_vector_scaling,
)
from imb_det.calibration.threshold_fitting import fit_thresholds
from imb_det.evaluation.functional.matches import Matches
from tests.contracts.registered import check_all_have_cases

from .test_logit_calibrators import kinds

CASES = {
    "VectorScaling": VectorScaling([2.0, 1.0, 0.5], [0.3, 0.0, -1.0]),
    "Temperature": Temperature([2.0, 1.0, 0.5]),
    "ClassScoreThreshold": ClassScoreThreshold([0.2, 0.5, 0.0]),
}
each = pytest.mark.parametrize("name", CASES)


def matches_of(scores, right, labels, objects, images=None, num_images=1):
    """Verdicts, class after class, the best first; objects are counts by class."""
    scores, right, labels = map(np.asarray, (scores, right, labels))
    images = np.zeros(len(scores), int) if images is None else np.asarray(images)
    order = np.lexsort((-scores, labels))
    object_label = np.repeat(np.arange(len(objects)), objects)
    return Matches(
        image=images[order],
        label=labels[order],
        score=scores[order].astype(float),
        verdict=right[order].astype(np.int8)[:, None],
        object_image=np.arange(len(object_label)) % num_images,
        object_label=object_label,
        num_images=num_images,
        num_classes=len(objects),
    )


def test_all_have_cases():
    check_all_have_cases("calibrators", CASES, kinds(ScoreCalibrator), "CASES")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("name", ["VectorScaling", "Temperature"])
def test_scores_of_any_type_stay_apart(name, dtype):
    """Also small ones, and those next to 1."""
    scores = torch.tensor([1e-7, 1e-4, 0.01, 0.5, 0.98, 0.99], dtype=dtype)
    made, _ = CASES[name](scores, torch.ones(6, dtype=int), 3)
    assert made.dtype == dtype
    torch.testing.assert_close(made, scores, rtol=0.01, atol=1e-9)


@each
def test_the_ranking_in_a_class_stays(name):
    for label in range(3):
        scores = torch.linspace(0, 1, 60)
        labels = torch.full((60,), label)
        made, _ = CASES[name](scores, labels, 3)
        assert (made.diff() >= 0).all()
        assert made.min() >= 0
        assert made.max() <= 1


@each
def test_no_detections(name):
    made, keep = CASES[name](torch.zeros(0), torch.zeros(0, dtype=torch.long), 3)
    assert made.shape == (0,)
    assert keep is None or keep.shape == (0,)


@each
def test_labels_of_any_type(name):
    """Those of CrowdDet are floating-point numbers."""
    scores, labels = torch.linspace(0.1, 0.9, 3), torch.tensor([0, 1, 2])
    made, keep = CASES[name](scores, labels, 3)
    same, same_keep = CASES[name](scores, labels.float(), 3)
    assert torch.equal(made, same)
    assert keep is None or torch.equal(keep, same_keep)


@each
def test_numbers_of_other_classes_are_an_error(name):
    with pytest.raises(ValueError, match="3 numbers, but the head has 4 classes"):
        CASES[name](torch.ones(1), torch.zeros(1, dtype=torch.long), 4)


@given(score=st.floats(0.01, 0.99), a=st.floats(0.1, 5), b=st.floats(-3, 3))
def test_scaling_is_that_of_the_formula(score, a, b):
    odds = math.log(score / (1 - score))
    labels = torch.zeros(1, dtype=torch.long)
    found, _ = VectorScaling(a, b)(torch.tensor([score]), labels, 2)
    assert found.item() == pytest.approx(1 / (1 + math.exp(-a * odds - b)), abs=1e-5)
    same, _ = Temperature(1 / a)(torch.tensor([score]), labels, 2)
    scaled, _ = VectorScaling(a)(torch.tensor([score]), labels, 2)
    torch.testing.assert_close(same, scaled)


def sharpened(temperature, classes=2, count=4000):
    """Detections whose chance of being right is their score with that temperature."""
    random = np.random.default_rng(0)
    odds = random.normal(0, 2, count)
    right = random.random(count) < 1 / (1 + np.exp(-odds / temperature))
    labels = random.integers(0, classes, count)
    return matches_of(1 / (1 + np.exp(-odds)), right, labels, [count] * classes)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_a_temperature_is_found_again(temperature):
    (found, same) = fit_temperature(sharpened(temperature))
    assert found == same == pytest.approx(temperature, rel=0.15)
    scale, shift = fit_vector_scaling(sharpened(temperature), strength=0.01)
    assert scale == pytest.approx([1 / temperature] * 2, rel=0.2)
    assert shift == pytest.approx([0, 0], abs=0.2)


def test_groups_have_temperatures_of_their_own():
    cold, warm = sharpened(0.5, 1), sharpened(2.5, 1)
    labels = np.repeat([0, 1], 4000)
    both = matches_of(
        np.concatenate([cold.score, warm.score]),
        np.concatenate([cold.verdict[:, 0], warm.verdict[:, 0]]),
        labels,
        [4000, 4000, 0],
    )
    found = fit_temperature(both, [np.array([0]), np.array([1]), np.array([2])])
    assert found[0] == pytest.approx(0.5, rel=0.15)
    assert found[1] == pytest.approx(2.5, rel=0.15)
    (shared, *_) = fit_temperature(both)
    assert found[2] == shared  # nothing to fit it to


def test_a_class_with_few_detections_stays_near_all():
    scores, right, labels = [0.9] * 50 + [0.1] * 50 + [0.9], [1] * 45 + [0] * 5, []
    right = right + [1] * 5 + [0] * 45 + [0]
    labels = [0] * 100 + [1]
    scale, shift = fit_vector_scaling(matches_of(scores, right, labels, [60, 1]), 50.0)
    assert scale[1] == pytest.approx(scale[0], rel=0.1)
    assert shift[1] == pytest.approx(shift[0], abs=0.1)


def test_nothing_right_is_an_error():
    wrong = matches_of([0.5, 0.4], [0, 0], [0, 0], [1])
    for fit in (fit_temperature, fit_vector_scaling):
        with pytest.raises(ValueError, match="0 of 2 detections are right"):
            fit(wrong)


detections = st.lists(
    st.tuples(st.integers(1, 9), st.booleans()), min_size=1, max_size=12
)


def f1(threshold, scores, right, objects):
    kept = scores >= threshold
    return 2 * right[kept].sum() / (kept.sum() + objects)


@given(found=detections, missed=st.integers(0, 3))
def test_no_other_threshold_has_a_better_f1(found, missed):
    scores = np.array([score / 10 for score, _ in found])
    right = np.array([verdict for _, verdict in found])
    objects = int(right.sum()) + missed
    assume(objects > 0)
    matches = matches_of(scores, right, np.zeros(len(found), int), [objects])
    (threshold,) = fit_thresholds(matches, shrink=0)
    best = max(f1(t, scores, right, objects) for t in np.linspace(0, 1, 21))
    assert f1(threshold, scores, right, objects) == pytest.approx(best)


@given(found=detections, target=st.sampled_from([0.3, 0.5, 0.9]))
def test_recall_and_precision_are_reached_where_they_can_be(found, target):
    scores = np.array([score / 10 for score, _ in found])
    right = np.array([verdict for _, verdict in found])
    objects = int(right.sum())
    assume(objects > 0)
    matches = matches_of(scores, right, np.zeros(len(found), int), [objects])
    (low,) = fit_thresholds(matches, "recall", target, shrink=0)
    assert right[scores >= low].sum() >= target * objects - 1e-9
    above = scores[scores > low]
    if len(above):  # the next threshold is too high
        assert right[scores > above.min()].sum() < target * objects
    (sure,) = fit_thresholds(matches, "precision", target, shrink=0)
    kept = scores >= sure
    assert not kept.any() or right[kept].mean() >= target - 1e-9


@given(found=detections, price=st.sampled_from([0.1, 1.0, 5.0]))
def test_no_other_threshold_costs_less(found, price):
    scores = np.array([score / 10 for score, _ in found])
    right = np.array([verdict for _, verdict in found])
    objects = int(right.sum()) + 1
    matches = matches_of(scores, right, np.zeros(len(found), int), [objects])

    def cost(threshold):
        kept = scores >= threshold
        return objects - right[kept].sum() + price * (~right[kept]).sum()

    (threshold,) = fit_thresholds(matches, "cost", price, shrink=0)
    best = min(cost(t) for t in [*np.linspace(0, 1, 21), 1.1])
    assert cost(threshold) == pytest.approx(best)


def test_thresholds_of_classes_with_few_objects_are_drawn_to_all():
    scores, right = [0.9, 0.8, 0.2, 0.1, 0.3], [1, 1, 0, 0, 1]
    matches = matches_of(scores, right, [0, 0, 0, 0, 1], [2, 1, 0])
    alone = fit_thresholds(matches, shrink=0)
    shared = alone[2]  # a class without objects
    drawn = fit_thresholds(matches, shrink=3)
    assert drawn[2] == pytest.approx(shared)
    assert drawn[0] == pytest.approx((2 * alone[0] + 3 * shared) / 5)
    assert drawn[1] == pytest.approx((1 * alone[1] + 3 * shared) / 4)


def test_a_class_without_a_right_detection_has_the_f1_threshold_of_all():
    matches = matches_of([0.9, 0.8, 0.7], [1, 1, 0], [0, 0, 1], [2, 5])
    alone = fit_thresholds(matches, shrink=0)
    assert alone[1] == fit_thresholds(matches, shrink=1e9)[1]
    assert alone[1] == pytest.approx(0.75)


def test_average_k():
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.1])
    assert average_k_threshold(scores, 2, 1.5) == 0.7
    assert (scores >= average_k_threshold(scores, 2, 1.5)).sum() == 3
    assert average_k_threshold(scores, 2, 4) == 0
    assert average_k_threshold(scores, 100, 0.001) == 1
    with pytest.raises(ValueError, match="`average` must be"):
        average_k_threshold(scores, 2, 0)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (dict(objective="f2"), "`objective` must be one of"),
        (dict(objective="recall"), "needs a `target`"),
        (dict(target=0.5), "needs no `target`"),
        (dict(objective="recall", target=1.5), "`target` must be in"),
        (dict(objective="cost", target=0.0), "above 0"),
        (dict(shrink=-1), "`shrink` must be in"),
    ],
)
def test_bad_arguments(options, match):
    with pytest.raises((TypeError, ValueError), match=match):
        fit_thresholds(matches_of([0.5], [1], [0], [1]), **options)
    with pytest.raises(ValueError, match="no object"):
        fit_thresholds(matches_of([0.5], [0], [0], [0]))
    with pytest.raises(ValueError, match="nothing is detected"):
        fit_thresholds(matches_of([], [], [], [1]))


def test_figures_above_a_threshold():
    # Two images, of two objects of class 0 and one of class 1.
    before = matches_of(
        [0.9, 0.6, 0.4, 0.2], [1, 0, 1, 1], [0, 0, 1, 0], [2, 1], [0, 1, 0, 1], 2
    )
    after = matches_of(
        [0.9, 0.1, 0.8, 0.7], [1, 0, 1, 1], [0, 0, 1, 0], [2, 1], [0, 1, 0, 1], 2
    )
    found = compare_operating_figures(
        before, after, {"rare": [1]}, score_thr=0.3, resamples=50
    )
    values = {(c.figure, c.group): (c.before, c.after) for c in found}
    assert values["recall", "all"] == pytest.approx((2 / 3, 1))
    assert values["precision", "all"] == pytest.approx((2 / 3, 1))
    assert values["F1", "all"] == pytest.approx((2 / 3, 1))
    assert values["F1", "rare"] == pytest.approx((1, 1))
    # One detection a bin: the errors are 0.1, 0.6 and 0.6, of three detections.
    error = values["calibration error", "all"][0]
    assert error == pytest.approx((0.1 + 0.6 + 0.6) / 3)
    for change in found:
        low, high = change.interval
        assert low <= high or math.isnan(low)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (VectorScaling, "scale"),
        (VectorScaling, "shift"),
        (Temperature, "temperature"),
        (ClassScoreThreshold, "score_thr"),
    ],
)
def test_no_numbers_are_refused_at_construction(kind, name):
    with pytest.raises(TypeError, match=f"`{name}` must be a number"):
        kind(**{name: None})
