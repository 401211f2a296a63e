"""Resampled figures against the evaluation of sets that really hold the copies."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imb_det.evaluation.functional import (
    Detections,
    GroundTruth,
    evaluate_coco,
)
from imb_det.evaluation.functional.bootstrap import (
    BootstrapResults,
    average_figures,
    bootstrap,
)
from imb_det.evaluation.functional.matches import Matches
from imb_det.evaluation.functional.matching import match
from imb_det.evaluation.functional.resampled_precision import average_precision
from imb_det.evaluation.functional.top1 import named_right, top1_recall
from tests.coco_scenes import (
    CLASSES,
    by_class,
    coco_content,
    predictions_of,
    random_images,
)
from tests.references.ap import mean_ap

GROUPS = {"rare": np.array([2]), "frequent": np.array([0, 1])}
KEYS = ("AP", "AP50", "APr", "APf")


def sets_of(images):
    truth = GroundTruth.from_coco(coco_content(images), CLASSES)
    return truth, Detections.from_predictions(truth, predictions_of(images))


def judged(images, truth_images=None):
    truth = GroundTruth.from_coco(coco_content(truth_images or images), CLASSES)
    found = Detections.from_predictions(truth, predictions_of(images))
    return match(truth, found, max_dets=100)


def copies(images, weights):
    """Each image as often as its weight says, one copy after the other."""
    return [image for image, n in zip(images, weights, strict=True) for _ in range(n)]


def image_weights(seed, num_images, resamples):
    """The weights that `bootstrap` draws."""
    rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(2)[0])
    return rng.multinomial(num_images, [1 / num_images] * num_images, size=resamples)


def full_evaluation(images):
    truth = GroundTruth.from_coco(coco_content(images), CLASSES)
    results = evaluate_coco(truth, predictions_of(images), max_dets=(100,))
    of_groups = results.group_summary(GROUPS)
    figures = {"AP": results.summary["mAP"], "AP50": results.summary["mAP_50"]}
    return [{**figures, **of_groups}.get(key, np.nan) for key in KEYS]


# ------------------------------------------------------------------- one resample

boxes = st.sampled_from(
    [
        (0.0, 0.0, 10.0, 10.0),
        (0.0, 0.0, 10.0, 8.0),
        (2.0, 0.0, 10.0, 10.0),
        (8.0, 8.0, 40.0, 36.0),
        (10.0, 10.0, 36.0, 36.0),
    ]
)
objects = st.lists(st.tuples(st.integers(0, 2), boxes, st.booleans()), max_size=4)
# Scores that are equal in different images are common, in one image and class there
# are none: there the order of the copies is a matter of taste.
detections = st.lists(
    st.tuples(st.integers(0, 2), boxes, st.sampled_from([0.1, 0.4, 0.5, 0.7, 0.9])),
    max_size=8,
    unique_by=lambda detection: (detection[0], detection[2]),
)
weighted_images = st.lists(
    st.tuples(st.tuples(objects, detections), st.integers(0, 3)),
    min_size=1,
    max_size=4,
).filter(lambda pairs: any(weight for _, weight in pairs))


@settings(max_examples=100, deadline=None)
@given(weighted_images)
def test_weights_equal_real_copies(pairs):
    images, weights = map(list, zip(*pairs, strict=True))
    precision = average_precision(judged(images), np.array([weights]))
    figures = average_figures(precision, GROUPS)[0]
    expected = full_evaluation(copies(images, weights))
    np.testing.assert_allclose(figures, expected, rtol=0, atol=1e-9)


def test_named_objects_on_real_copies():
    images = random_images(3, num_images=14)
    truth, found = sets_of(images)
    run = replace(match(truth, found, max_dets=100), named=named_right(truth, found))
    assert 0 < run.named.sum() < len(run.named)
    np.testing.assert_array_equal(
        run.object_label, [c for own, _ in images for c, _, crowd in own if not crowd]
    )
    results = bootstrap([[run]], GROUPS, resamples=4, seed=1)
    assert results.figures == (*KEYS, "top1", "top1_r", "top1_f")
    sets = [images, *(copies(images, w) for w in image_weights(1, 14, 4))]
    for one, figures in zip(sets, [results.estimate, *results.samples], strict=True):
        share = top1_recall(*sets_of(one))
        expected = [np.nanmean(share), share[2], np.nanmean(share[:2])]
        np.testing.assert_allclose(figures[0, 4:], expected, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_resamples_equal_the_slow_reference(seed):
    images = random_images(seed, num_images=14)
    results = bootstrap([[judged(images)]], GROUPS, resamples=4, seed=seed)
    assert results.figures == KEYS
    everyone = {"AP": [0, 1, 2], "AP50": [0, 1, 2], "APr": [2], "APf": [0, 1]}
    drawn = image_weights(seed, 14, 4)
    assert (drawn.max(1) > 1).all()
    sets = [images, *(copies(images, weights) for weights in drawn)]
    for one, figures in zip(sets, [results.estimate, *results.samples], strict=True):
        for key, value in zip(KEYS, figures[0], strict=True):
            thrs = [0.5] if key == "AP50" else None
            expected = mean_ap(by_class(one), everyone[key], thrs)
            assert value == pytest.approx(expected, abs=1e-9)


def test_ignored_detections_are_left_out_at_their_overlaps():
    # Wrong, ignored and right detections in all orders at three overlaps.
    rng = np.random.default_rng(0)
    verdict = rng.integers(-1, 2, (60, 3)).astype(np.int8)
    verdict[:5, 0] = -1
    verdict[:, 2] = np.where(verdict[:, 2] == 1, 0, verdict[:, 2])
    image = rng.integers(0, 9, 60)
    score = -np.arange(60.0)
    objects = rng.integers(0, 9, 50)
    zeros = np.zeros(60, int)
    matches = Matches(image, zeros, score, verdict, objects, zeros[:50], 9, 1)
    weights = rng.integers(0, 4, (5, 9))
    found = average_precision(matches, weights)
    for own, result in zip(weights, found, strict=True):
        total = own[objects].sum()
        for t in range(3):
            held = verdict[:, t].repeat(own[image])
            kept = held[held >= 0]
            right = np.cumsum(kept == 1)
            precision = right / np.arange(1, len(kept) + 1)
            levels = np.linspace(0, 1, 101)
            best = [
                precision[right / total >= level].max(initial=0) for level in levels
            ]
            # At recall 0 precision is that of the first right detection or later.
            assert result[0, t] == pytest.approx(np.mean(best), abs=1e-9)
    assert (found[:, 0, 2] == 0).all()
    assert (found[:, 0, 0] > 0).all()


# --------------------------------------------------------------------- many of them


def worse(images, seed, share=0.3):
    """The same detections without some of them."""
    rng = np.random.default_rng(seed)
    return [(o, [d for d in found if rng.random() > share]) for o, found in images]


def test_the_result_does_not_depend_on_batches(monkeypatch):
    images = random_images(1, num_images=20)
    runs = [
        [judged(worse(images, s)) for s in seeds] for seeds in (range(3), (3, 4), (5,))
    ]
    whole = bootstrap(runs, GROUPS, resamples=50, seed=4)
    # Nor do two methods depend on a third.
    two = bootstrap(runs[:2], GROUPS, resamples=50, seed=4)
    np.testing.assert_array_equal(two.samples, whole.samples[:, :2])
    module = import_module("imb_det.evaluation.functional.bootstrap")
    monkeypatch.setattr(module, "_BATCH_CELLS", 300)
    parts = bootstrap(runs, GROUPS, resamples=50, seed=4)
    np.testing.assert_array_equal(parts.samples, whole.samples)
    again = bootstrap(runs, GROUPS, resamples=50, seed=5)
    assert (again.samples != whole.samples).any(axis=(0, 1)).all()


def test_identical_runs_do_not_differ():
    images = random_images(2, num_images=20)
    run = judged(images)
    for method, fixed in (([run], False), ([run, judged(worse(images, 1))], True)):
        results = bootstrap([method, method], GROUPS, fixed_seeds=fixed, resamples=200)
        assert results.samples.std(0).min() > 0
        assert (results.differences == 0).all()
        assert (results.difference_intervals() == 0).all()
        assert (results.share_above() == 0).all()


def test_pairs_are_resampled_together():
    images = random_images(6, num_images=40)
    methods = [[judged(images)], [judged(worse(images, 1, 0.1))]]
    results = bootstrap(methods, GROUPS, resamples=300)
    spread = results.samples.std(0)
    difference = (results.samples[:, 1] - results.samples[:, 0]).std(0)
    apart = np.sqrt((spread**2).sum(0))  # with images of their own
    assert (difference[:2] < 0.7 * apart[:2]).all()
    low, high = results.difference_intervals()[1].T
    assert (low <= high).all()
    assert (results.differences[1, :2] < 0).all()
    assert (results.share_above()[1, :2] < 0.05).all()
    assert (results.difference_intervals()[0] == 0).all()


def test_intervals_are_percentiles():
    samples = np.arange(1001.0)[:, None, None] * [[[0.001], [0.002]]]
    results = BootstrapResults(("AP",), np.array([[0.5], [1.0]]), samples, ())
    np.testing.assert_allclose(results.intervals(0.9)[:, 0], [[0.05, 0.95], [0.1, 1.9]])
    np.testing.assert_allclose(results.difference_intervals(0.8)[1, 0], [0.1, 0.9])
    np.testing.assert_allclose(results.share_above()[:, 0], [0, 1000 / 1001])
    for confidence in (0, 1, 95):
        with pytest.raises(ValueError, match="`confidence` must be between 0 and 1"):
            results.intervals(confidence)


# ---------------------------------------------------------------------------- seeds


def test_seeds_are_averaged_in_a_resample():
    images = random_images(3, num_images=20)
    seeds = [judged(worse(images, s)) for s in range(3)]
    both = bootstrap([seeds], GROUPS, resamples=30, fixed_seeds=True)
    single = [bootstrap([[s]], GROUPS, resamples=30) for s in seeds]
    np.testing.assert_allclose(
        both.samples, np.mean([s.samples for s in single], 0), atol=1e-12
    )
    np.testing.assert_allclose(
        both.estimate, np.mean([s.estimate for s in single], 0), atol=1e-12
    )
    np.testing.assert_array_equal(
        both.seeds[0], np.concatenate([s.estimate for s in single])
    )


@pytest.mark.parametrize("num_seeds", [2, 3, 5])
def test_the_mean_of_seeds_varies_by_its_unbiased_variance(num_seeds):
    # All images are alike, so that only the seeds make a difference.
    box, apart = (0.0, 0.0, 10.0, 10.0), (20.0, 20.0, 10.0, 10.0)
    objects = [(0, box, False), (0, apart, False)]

    def seed(number):
        wrong = [(0, (40.0, 20.0, 9.0, 9.0), 0.9 - 0.1 * k) for k in range(number)]
        return judged([(objects, [*wrong, (0, box, 0.95), (0, apart, 0.1)])] * 6)

    seeds = [seed(k) for k in range(num_seeds)]
    results = bootstrap([seeds], resamples=4000)
    values = results.seeds[0][:, 0]
    assert len(np.unique(values)) == num_seeds
    expected = values.var(ddof=1) / num_seeds
    assert results.samples[:, 0, 0].var() == pytest.approx(expected, rel=0.08)
    assert results.samples[:, 0, 0].mean() == pytest.approx(values.mean(), rel=0.01)
    fixed = bootstrap([seeds], resamples=20, fixed_seeds=True)
    np.testing.assert_allclose(fixed.samples, fixed.estimate[None].repeat(20, 0))


def test_seeds_of_two_methods_are_drawn_apart():
    images = random_images(3, num_images=20)
    seeds = [judged(worse(images, s)) for s in range(3)]
    results = bootstrap([seeds, seeds], resamples=100)
    assert (results.differences == 0).all()
    low, high = results.difference_intervals()[1, 0]
    assert low < 0 < high


# ---------------------------------------------------------- classes without objects


def test_a_class_is_absent_where_its_image_is():
    box = (0.0, 0.0, 10.0, 10.0)
    rare = ([(2, box, False)], [(2, box, 0.9)])
    usual = ([(0, box, False)], [(0, box, 0.9)])
    groups = {"rare": np.array([2]), "common": np.array([1])}
    methods = [[judged([usual, usual, rare])]] * 2
    results = bootstrap(methods, groups, resamples=2000)
    ap, _, of_rare, of_common = results.samples[:, 0].T
    absent = image_weights(0, 3, 2000)[:, 2] == 0
    assert 0.2 < absent.mean() < 0.4
    np.testing.assert_array_equal(np.isnan(of_rare), absent)
    assert np.isfinite(ap).all()
    assert np.isnan(of_common).all()
    assert np.isfinite(results.difference_intervals()[1, :3]).all()
    assert np.isnan(results.difference_intervals()[1, 3]).all()
    np.testing.assert_array_equal(results.share_above()[1], [0, 0, 0, np.nan])


def test_bad_arguments():
    images = random_images(0)
    run = judged(images)
    with pytest.raises(ValueError, match="`resamples` must be >= 1, got 0"):
        bootstrap([[run]], resamples=0)
    for methods in ([], [[run], []]):
        with pytest.raises(ValueError, match="at least one method is needed"):
            bootstrap(methods)
    elsewhere = judged(random_images(1))
    with pytest.raises(ValueError, match="seed 1 of method 1 was judged on another"):
        bootstrap([[run], [run, elsewhere]])
    nothing = replace(run.of_class(-1), num_images=0)
    with pytest.raises(ValueError, match="the test set holds no image"):
        bootstrap([[nothing]])


# ------------------------------------------------------------------------- coverage

PER_IMAGE = np.array([1.0, 0.5, 0.15])


def drawn_objects(rng, num_images, per_image):
    counts = rng.poisson(per_image, (num_images, len(per_image))).ravel()
    image, label = np.divmod(np.arange(counts.size), len(per_image))
    return image.repeat(counts), label.repeat(counts)


def simulated_pair(rng, num_images):
    """Two detectors on images that are hard or easy for both of them."""
    image, label = drawn_objects(rng, num_images, PER_IMAGE)
    hardness = rng.normal(0, 0.7, num_images)[image] + rng.normal(0, 0.7, len(image))
    pair = []
    for quality in (0.6, 0.9):
        margin = quality - hardness + rng.normal(0, 0.5, len(image))
        seen = margin > -1
        wrong = drawn_objects(rng, num_images, 0.5 * PER_IMAGE + 0.1)
        noise = rng.normal(0, 0.7, seen.sum())
        score = np.r_[margin[seen] + noise, rng.normal(-0.7, 1, len(wrong[0]))]
        margin = np.r_[margin[seen], np.full(len(wrong[0]), -9)]
        images, labels = np.r_[image[seen], wrong[0]], np.r_[label[seen], wrong[1]]
        order = np.lexsort((-score, labels))
        verdict = (margin[order, None] > [-0.8, 0.3]).astype(np.int8)
        found = images[order], labels[order], score[order], verdict
        pair.append([Matches(*found, image, label, num_images, len(PER_IMAGE))])
    return pair


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trials", "least", "most"),
    [(100, 0.90, 1.0), pytest.param(400, 0.92, 0.98, marks=pytest.mark.weekly)],
)
def test_intervals_hold_the_difference_of_the_population(trials, least, most):
    rng = np.random.default_rng(0)
    population = bootstrap(simulated_pair(rng, 100_000), GROUPS, resamples=1)
    truth = population.differences[1]
    assert (truth > 0.03).all()
    hits = np.zeros(len(KEYS))
    for trial in range(trials):
        pair = simulated_pair(rng, 300)
        results = bootstrap(pair, GROUPS, resamples=200, seed=trial)
        low, high = results.difference_intervals()[1].T
        hits += (low <= truth) & (truth <= high)
    # The standard deviation of a share of 95 % is 1.1 % in 400 trials, 2.2 % in 100.
    assert (hits / trials >= least).all(), hits / trials
    assert (hits / trials <= most).all(), hits / trials
