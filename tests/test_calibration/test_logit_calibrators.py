"""Calibrators of logits against formulas, identities, and what all must hold."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from imb_det.calibration import (
    FRACAL,
    LogitCalibrator,
    LogN,
    NorCal,
    PostHocLogitAdjustment,
    PriorThreshold,
)
from imb_det.calibration.fracal import fractal_dimension
from imb_det.registry import MODELS
from imb_det.statistics import ClassStats
from tests.contracts.registered import check_all_have_cases, registered
from tests.references import calibration as formulas

COUNTS = [50.0, 7.0, 1.0]
SHARES = [0.5, 0.2, 0.01]
PHI = [1.9, 1.2, 1.0]
MEAN, STD = [-2.0, -3.5, -5.0], [1.5, 0.7, 2.0]
#: Calibrators, and probabilities of a row as their formulas give them.
CASES = {
    "PostHocLogitAdjustment": (
        dict(tau=0.7, counts=COUNTS),
        lambda z, bg: formulas.adjusted_softmax(z, bg, COUNTS, 0.7),
        None,
    ),
    "PriorThreshold": (
        dict(counts=COUNTS),
        lambda z, bg: formulas.adjusted_softmax(z, bg, COUNTS, 1.0),
        None,
    ),
    "NorCal": (
        dict(gamma=0.6, counts=COUNTS),
        lambda z, bg: formulas.norcal_softmax(z, bg, COUNTS, 0.6),
        lambda z: formulas.norcal_sigmoid(z, COUNTS, 0.6),
    ),
    "FRACAL": (
        dict(dimension=PHI, lambda_=2.0, base=10.0, counts=SHARES),
        lambda z, bg: formulas.fracal_softmax(z, bg, SHARES, PHI, 2.0, 10.0),
        lambda z: formulas.fracal_sigmoid(z, SHARES, PHI, 2.0, 10.0),
    ),
    "LogN": (
        dict(mean=MEAN, std=STD),
        lambda z, bg: formulas.logn_softmax(z, bg, MEAN, STD),
        None,
    ),
}
each = pytest.mark.parametrize("name", CASES)
rows = st.lists(st.floats(-30, 30), min_size=4, max_size=4)
STATS = ClassStats(("ant", "bee", "cat"), [40, 6, 1], [50, 7, 1], 100)


def build(name, **options):
    return MODELS.build(dict(CASES[name][0], type=f"imb_det.{name}", **options))


def kinds(base):
    found = registered(MODELS, "calibration").items()
    return [n for n, c in found if issubclass(c, base)]


def test_all_have_cases():
    check_all_have_cases("calibrators", CASES, kinds(LogitCalibrator), "CASES")


@each
@given(row=rows)
def test_softmax_is_that_of_the_formula(name, row):
    *classes, background = row
    made = build(name)(torch.tensor([classes], dtype=torch.float32), True)
    whole = torch.cat([made.double(), torch.tensor([[background]]).double()], 1)
    wanted = CASES[name][1](classes, background)
    np.testing.assert_allclose(whole.softmax(1)[0].numpy(), wanted, 1e-3, 1e-5)


@pytest.mark.parametrize("name", [n for n, case in CASES.items() if case[2]])
@given(row=rows)
def test_sigmoid_is_that_of_the_formula(name, row):
    made = build(name)(torch.tensor([row[:3]], dtype=torch.float32), False)
    wanted = CASES[name][2](row[:3])
    np.testing.assert_allclose(made.double().sigmoid()[0].numpy(), wanted, 1e-4, 1e-7)


@each
@pytest.mark.parametrize("exclusive", [True, False])
def test_the_ranking_in_a_class_stays_with_sigmoids(name, exclusive):
    logits = torch.linspace(-12, 12, 50)[:, None].expand(50, 3)
    made = build(name)(logits, exclusive)
    assert (made.diff(dim=0) > 0).all()


@each
@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_extreme_logits_stay_finite(name, exclusive, dtype):
    logits = torch.tensor([[-1e4, 0.0, 1e4], [80.0, -80.0, 0.0]], dtype=dtype)
    kept = logits.clone()
    made = build(name)(logits, exclusive)
    assert made.dtype == dtype
    assert made.shape == logits.shape
    assert made.float().sigmoid().isfinite().all()
    assert made.isfinite().all()
    assert torch.equal(logits, kept)  # nothing is written into what came


@each
def test_any_leading_shape(name):
    calibrator, logits = build(name), torch.randn(2, 4, 5, 3)
    rows = calibrator(logits.flatten(0, 2), True)
    torch.testing.assert_close(calibrator(logits, True).flatten(0, 2), rows)
    assert calibrator(torch.zeros(0, 3), True).shape == (0, 3)


@each
def test_numbers_of_other_classes_are_an_error(name):
    with pytest.raises(ValueError, match="3 numbers, but the head has 5 classes"):
        build(name)(torch.zeros(1, 5), True)


@each
def test_copies_and_checkpoints(name):
    calibrator, logits = build(name), torch.randn(4, 3)
    wanted = calibrator(logits, True)
    torch.testing.assert_close(copy.deepcopy(calibrator)(logits, True), wanted)
    other = build(name)
    other.load_state_dict(calibrator.state_dict())
    torch.testing.assert_close(other(logits, True), wanted)


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if "counts" in c[0]])
def test_counts_of_the_training_set_come_with_the_checkpoint(name):
    options = dict(CASES[name][0], type=f"imb_det.{name}", counts="images")
    told, fresh = MODELS.build(dict(options)), MODELS.build(dict(options))
    with pytest.raises(RuntimeError, match="ImbalanceHook"):
        told(torch.zeros(1, 3), True)
    vector_of(told).set_class_stats(STATS)
    fresh.load_state_dict(told.state_dict())
    logits = torch.randn(5, 3)
    torch.testing.assert_close(fresh(logits, True), told(logits, True))


def vector_of(calibrator):
    return calibrator.shares if isinstance(calibrator, FRACAL) else calibrator.counts


def test_counts_of_another_calibrator_are_no_shares():
    told, fresh = NorCal(counts="images"), FRACAL(counts="images")
    told.counts.set_class_stats(STATS)
    fresh.load_state_dict(told.state_dict(), strict=False)
    with pytest.raises(RuntimeError, match="ImbalanceHook"):
        fresh(torch.zeros(1, 3), True)


def test_image_shares_of_fracal():
    told = FRACAL(counts="images")
    told.shares.set_class_stats(STATS)
    same = FRACAL(counts=[0.4, 0.06, 0.01])
    logits = torch.randn(5, 3)
    torch.testing.assert_close(told(logits, True), same(logits, True))


def test_identities():
    logits = torch.randn(6, 3)
    even = [4.0, 4.0, 4.0]

    def unchanged(calibrator, exclusive=True):
        torch.testing.assert_close(calibrator(logits, exclusive), logits)

    unchanged(NorCal(0.0, COUNTS))
    unchanged(NorCal(0.0, COUNTS), exclusive=False)
    unchanged(NorCal(1.0, [1.0, 1.0, 1.0]), exclusive=False)
    unchanged(PostHocLogitAdjustment(0.0, COUNTS))
    unchanged(PostHocLogitAdjustment(1.0, even))
    unchanged(PriorThreshold(even))
    unchanged(FRACAL(counts=[1 / 3] * 3))
    unchanged(LogN([-2.0] * 3, [1.0] * 3))
    # NorCal with counts relative to their mean is logit adjustment.
    relative = (np.array(COUNTS) / np.mean(COUNTS)).tolist()
    torch.testing.assert_close(
        NorCal(0.7, relative)(logits, True),
        PostHocLogitAdjustment(0.7, COUNTS)(logits, True),
    )
    # FRACAL without places is logit adjustment with tau = 1 / log b.
    shares = (np.array(COUNTS) / np.sum(COUNTS)).tolist()
    for calibrator in (
        FRACAL(counts=shares),
        FRACAL(dimension=PHI, lambda_=0.0, counts=shares),
    ):
        torch.testing.assert_close(
            calibrator(logits, True),
            PostHocLogitAdjustment(1 / math.log(10), COUNTS)(logits, True),
        )


@given(
    centres=st.lists(
        st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=0, max_size=60
    )
)
def test_dimension_is_the_slope_of_box_counts(centres):
    found = fractal_dimension(np.array(centres).reshape(-1, 2))
    assert found == pytest.approx(formulas.box_counting(centres), abs=1e-9)


def test_dimensions_of_known_places():
    axis = (np.arange(64) + 0.5) / 64
    plane = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    assert fractal_dimension(plane) == pytest.approx(2, abs=0.01)
    line = np.stack([axis.repeat(64), np.full(4096, 0.5)], 1)
    assert fractal_dimension(line) == pytest.approx(1, abs=0.01)
    assert fractal_dimension(np.full((9, 2), 0.3)) == 1
    assert fractal_dimension(np.zeros((0, 2))) == 1
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        fractal_dimension(np.array([[0.5, 1.5]]))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: NorCal(-1.0, COUNTS), "`gamma` must be"),
        (lambda: NorCal(0.5, "boxes"), "`counts` must be one of"),
        (lambda: NorCal(0.5, 3.0), "must be 'images', 'instances', a list"),
        (lambda: NorCal(0.5, [1.0, 0.0]), "`counts` must be in"),
        (lambda: PostHocLogitAdjustment(-0.1), "`tau` must be"),
        (lambda: FRACAL(base=1.0), "`base` must be"),
        (lambda: FRACAL(dimension=[0.5]), "`dimension` must be"),
        (lambda: FRACAL(lambda_=1.0), "without `dimension`"),
        (lambda: FRACAL(counts=[40.0, 1.0]), r"shares in \(0, 1\], got 40"),
        (lambda: FRACAL(counts={"ant": 40.0}), r"shares in \(0, 1\], got 40"),
        (lambda: LogN([0.0], [0.0]), "`std` must be"),
        (lambda: LogN([0.0], [1.0, 1.0]), "one for each class"),
        (lambda: LogN(0.0, [1.0]), "`mean` must be a list, .* got 0.0"),
        (lambda: LogN([0.0], {"ant": 1.0}), "`std` must be a list"),
        (
            lambda: NorCal(0.5, [0.5, 1.0])(torch.zeros(1, 2), False),
            "below 1",
        ),
    ],
)
def test_bad_arguments(make, match):
    with pytest.raises((TypeError, ValueError), match=match):
        make()


@each
def test_half_precision_leaves_the_numbers_alone(name):
    calibrator, logits = build(name), torch.randn(4, 3)
    wanted = calibrator(logits, True)
    torch.testing.assert_close(calibrator.half()(logits, True), wanted)


def test_counts_by_name_are_of_every_class():
    calibrator = NorCal(counts={"ant": 40, "cat": 1})
    with pytest.raises(ValueError, match=r"must name every class, .* \['bee'\]"):
        calibrator.counts.set_class_stats(STATS)
    calibrator = NorCal(counts={"ant": 40, "bee": 6, "cat": 1})
    calibrator.counts.set_class_stats(STATS)
    same, logits = NorCal(counts="images"), torch.randn(4, 3)
    same.counts.set_class_stats(STATS)
    torch.testing.assert_close(calibrator(logits, True), same(logits, True))


def test_a_class_without_examples():
    calibrator = NorCal()
    stats = ClassStats(("ant", "bee"), [3, 0], [3, 0], 3)
    with pytest.raises(ValueError, match=r"none of \['bee'\]"):
        calibrator.counts.set_class_stats(stats)
