import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imb_det.statistics import ClassStats, class_weights
from imb_det.statistics.class_weights import NORMALISATIONS, WEIGHT_RULES, weight_rules
from tests.references import class_weights as reference

NORMALISED = WEIGHT_RULES[:5]
NO_LIMIT = dict(max_ratio=None)


def stats_of(instances, images=None, num_images=None):
    images = instances if images is None else images
    names = tuple(f"c{i}" for i in range(len(instances)))
    return ClassStats(names, images, instances, num_images or max([*images, 1]))


@st.composite
def class_stats(draw):
    pairs = draw(
        st.lists(
            st.tuples(st.integers(0, 3000), st.floats(0.01, 1)), min_size=1, max_size=12
        )
    )
    instances = [n for n, _ in pairs]
    images = [min(n, max(1, round(n * share))) for n, share in pairs]
    return stats_of(instances, images, max([*images, 1]) + draw(st.integers(0, 50)))


@pytest.mark.parametrize(
    ("rule", "instances", "wanted"),
    [
        ("inverse", [1, 2, 4], [12 / 7, 6 / 7, 3 / 7]),
        ("sqrt_inverse", [1, 4, 16], [12 / 7, 6 / 7, 3 / 7]),
        # beta 0.5: effective numbers 1, 1.5, 1.75.
        ("effective_number", [1, 2, 3], [63 / 47, 42 / 47, 36 / 47]),
        ("median_frequency", [1, 2, 8], [2, 1, 0.25]),
        ("median_frequency", [1, 3], [2, 2 / 3]),
        ("inverse", [1, 0, 3], [1.5, 1, 0.5]),
    ],
)
def test_by_hand(rule, instances, wanted):
    stats = stats_of(instances, num_images=20)
    weights = class_weights(stats, rule, beta=0.5, normalize="classes")
    assert weights.dtype == np.float64
    assert weights == pytest.approx(wanted, rel=1e-14)


def test_beta_by_class_by_hand():
    # Betas 0, 0.25, 0.5 of 1, 2 and 3 instances: effective numbers 1, 1.25, 1.75.
    options = dict(betas=(0, 0.5), normalize="classes")
    weights = class_weights(stats_of([1, 2, 3]), "class_beta", **options)
    raw = np.array([1, 0.8, 4 / 7])
    assert weights == pytest.approx(raw / raw.mean(), rel=1e-14)


@given(class_stats(), st.floats(0, 3), st.none() | st.floats(1, 1e4))
def test_a_power_of_the_count(stats, power, max_ratio):
    options = dict(power=power, max_ratio=max_ratio)
    found = class_weights(stats, "power", **options)
    counts = stats.instance_count, stats.image_count, stats.num_images
    assert found == pytest.approx(reference.class_weights(*counts, "power", **options))
    ends = {0: np.ones(stats.num_classes), 1: class_weights(stats, "inverse")}
    for end, wanted in ends.items():
        assert class_weights(stats, "power", power=end) == pytest.approx(wanted)


@given(class_stats(), st.floats(0, 1, exclude_max=True), st.none() | st.floats(1, 1e4))
def test_one_beta_for_all_classes_is_the_effective_number(stats, beta, max_ratio):
    by_class = class_weights(
        stats, "class_beta", betas=(beta, beta), max_ratio=max_ratio
    )
    wanted = class_weights(stats, "effective_number", beta=beta, max_ratio=max_ratio)
    assert by_class.tolist() == wanted.tolist()


def test_a_rule_with_options_is_the_function_with_them():
    stats = stats_of([1, 5, 700])
    rules = weight_rules(beta=0.5)
    options = dict(max_ratio=None, normalize="instances")
    found = rules["effective_number"].with_options(beta=0.9999, **options)(stats)
    wanted = class_weights(stats, "effective_number", beta=0.9999, **options)
    assert found.tolist() == wanted.tolist()
    with pytest.raises(ValueError, match=r"'inverse' has no \['beta'\], but \['by"):
        rules["inverse"].with_options(beta=0.9)
    with pytest.raises(TypeError, match=r"must be two numbers, got 0\.9"):
        rules["class_beta"].with_options(betas=0.9)
    with pytest.raises(ValueError, match=r"'median_frequency' has no \['by'\]"):
        rules["median_frequency"].with_options(by="instances")
    with pytest.raises(ValueError, match="`by` must be"):
        rules["inverse"].with_options(by="boxes")


def test_images_may_be_counted():
    stats = stats_of([100, 100, 40], [1, 4, 2], 10)
    found = class_weights(stats, "inverse", by="images", normalize="classes")
    assert found == pytest.approx(np.array([4, 1, 2]) * 3 / 7)
    found = class_weights(stats, "inverse", by="images")
    assert np.average(found, weights=stats.instance_count) == pytest.approx(1)


def test_median_frequency_counts_images():
    weights = class_weights(stats_of([100, 100], [1, 3], 10), "median_frequency")
    assert weights == pytest.approx([2, 2 / 3])


def test_the_limit_comes_before_the_mean():
    stats = stats_of([1, 1000])
    weights = class_weights(stats, "inverse", max_ratio=3, normalize="classes")
    assert weights == pytest.approx([1.5, 0.5])
    weights = class_weights(stats_of([1, 10, 1000]), "median_frequency", max_ratio=300)
    assert weights == pytest.approx([3, 1, 0.01])


def test_mean_over_instances_by_hand():
    # 1 and 1/3 on one and three instances: mean 1/2.
    weights = class_weights(stats_of([1, 3]), "inverse")  # which is the default
    assert weights == pytest.approx([2, 2 / 3])


def test_the_median_class_has_1_below_the_limit_too():
    # 1/8, 1 and 2 times the median; the limit of 4 cuts the rarer ones to 4/8.
    weights = class_weights(
        stats_of([800, 100, 50], num_images=1000), "median_frequency", max_ratio=4
    )
    assert weights == pytest.approx([0.25, 1, 1])


@given(
    class_stats(),
    st.sampled_from(WEIGHT_RULES),
    st.none() | st.floats(1, 1e4),
    st.sampled_from(NORMALISATIONS),
)
def test_equals_the_reference(stats, rule, max_ratio, by):
    options = dict(beta=0.99, max_ratio=max_ratio)
    wanted = reference.class_weights(
        stats.instance_count.tolist(),
        stats.image_count.tolist(),
        stats.num_images,
        rule,
        by=by,
        **options,
    )
    weights = class_weights(stats, rule, normalize=by, **options)
    assert weights == pytest.approx(wanted, rel=1e-9)


@given(
    st.integers(1, 10**6),
    st.integers(1, 30),
    st.sampled_from(WEIGHT_RULES),
    st.none() | st.floats(1, 1e4),
    st.floats(0, 1, exclude_max=True),
    st.sampled_from(NORMALISATIONS),
)
def test_balanced_counts_give_ones(count, num_classes, rule, max_ratio, beta, by):
    stats = stats_of([count] * num_classes, num_images=2 * count)
    options = dict(beta=beta, max_ratio=max_ratio, normalize=by)
    weights = class_weights(stats, rule, **options)
    assert weights.tolist() == [1.0] * num_classes


@given(
    class_stats(),
    st.sampled_from(WEIGHT_RULES),
    st.floats(1, 1000),
    st.sampled_from(NORMALISATIONS),
)
def test_mean_limit_and_absent_classes(stats, rule, max_ratio, by):
    weights = class_weights(stats, rule, max_ratio=max_ratio, normalize=by)
    present = stats.instance_count > 0
    assert (weights[~present] == 1).all()
    if present.any():
        chosen = weights[present]
        assert chosen.max() <= max_ratio * chosen.min() * (1 + 1e-12)
        if rule in NORMALISED:
            of_one = np.ones(len(chosen)) if by == "classes" else stats.instance_count
            mean = np.average(chosen, weights=of_one[of_one > 0])
            assert mean == pytest.approx(1)


@given(class_stats(), st.sampled_from(WEIGHT_RULES), st.none() | st.floats(1, 1000))
def test_fewer_examples_never_weigh_less(stats, rule, max_ratio):
    present = np.flatnonzero(stats.instance_count)
    counts = stats.image_count if rule == "median_frequency" else stats.instance_count
    order = present[np.argsort(counts[present], kind="stable")]
    weights = class_weights(stats, rule, max_ratio=max_ratio)[order]
    assert (np.diff(weights) <= 0).all()


def test_a_rule_that_weighs_all_alike_is_told(caplog):
    """The effective number of pixels is 1 / (1 - beta) for all classes."""
    stats = ClassStats(("cat", "dog"), [9, 9], [10**5, 10**8], 9)
    for options in (dict(), dict(beta=0.0), dict(max_ratio=1.0), dict(beta=0.9999999)):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            weights = class_weights(stats, "effective_number", **options)
        is_told = "weighs all classes alike" in caplog.text
        assert is_told == (options == {})
        assert (weights[0] < 1.01 * weights[1]) == (options != dict(beta=0.9999999))


@given(class_stats())
def test_limits_of_beta(stats):
    none = class_weights(stats, "effective_number", beta=0, **NO_LIMIT)
    assert none.tolist() == [1.0] * stats.num_classes
    nearly = class_weights(stats, "effective_number", beta=1 - 1e-12, **NO_LIMIT)
    wanted = class_weights(stats, "inverse", **NO_LIMIT)
    assert nearly == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("rule", WEIGHT_RULES)
def test_a_set_without_any_box(rule):
    assert class_weights(stats_of([0, 0]), rule).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (
            dict(rule="log"),
            "'inverse', 'sqrt_inverse', 'effective_number', 'class_beta'",
        ),
        (dict(rule="inverse", beta=1.0), r"`beta` must be in \[0, 1\), got 1.0"),
        (dict(rule="inverse", normalize="boxes"), "`normalize` must be .* got 'boxes'"),
        (dict(rule="inverse", max_ratio=0.5), "`max_ratio` must be .* got 0.5"),
        (dict(rule="class_beta", betas=(0.9, 1.0)), r"`betas` must be in .*, got 1.0"),
        (dict(rule="class_beta", betas=(0.9, 0.5)), "least first, got"),
        (dict(rule="class_beta", betas=(0.9,)), "must be two numbers"),
    ],
)
def test_bad_arguments(arguments, match):
    with pytest.raises(ValueError, match=match):
        class_weights(stats_of([1, 2]), **arguments)
    with pytest.raises(TypeError, match="must be ClassStats, got list"):
        class_weights([1, 2], "inverse")
