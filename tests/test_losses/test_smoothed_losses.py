"""Label-aware smoothing, and the penalties of CALS."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from imb_det.losses import (
    CALSLoss,
    CrossEntropyLoss,
    FadingLoss,
    ImbalanceLoss,
    LabelAwareSmoothingLoss,
    LossWrapper,
)
from imb_det.losses.penalties import PENALTIES, penalty_of
from imb_det.registry import MODELS
from imb_det.statistics import ClassStats
from tests.contracts.batches import gradient_of
from tests.contracts.cases import of_activation
from tests.references import wrappers
from tests.wrapped_losses import CE, started


def test_smoothing_by_hand():
    stats = ClassStats(("ant", "bee", "cat"), [5, 4, 1], [10, 4, 1], 6)
    loss = started(LabelAwareSmoothingLoss(CE, head=0.3, smoothing="linear"), stats)
    # 0.3, 0.3 (4 - 1) / (10 - 1) = 0.1, 0
    found = loss.smoothed(torch.tensor([0, 1, 2, 3]), channels=4)
    wanted = [[0.8, 0.1, 0.1, 0], [0.1 / 3, 0.9 + 0.1 / 3, 0.1 / 3, 0]]
    wanted += [[0, 0, 1, 0], [0, 0, 0, 1]]
    torch.testing.assert_close(found, torch.tensor(wanted))


@pytest.mark.parametrize("shape", ["concave", "linear", "convex"])
@pytest.mark.parametrize(("head", "tail"), [(0.4, 0.1), (0.0, 0.2)])
def test_smoothing_by_counts(shape, head, tail):
    counts = [1, 2, 7, 30, 500]
    names = tuple("abcde")
    stats = ClassStats(names, [1] * 5, counts, 600)
    loss = LabelAwareSmoothingLoss(CE, head=head, tail=tail, smoothing=shape)
    found = started(loss, stats).smoothing.value.tolist()
    wanted = wrappers.smoothing(counts, head, tail, shape)
    assert found == pytest.approx(wanted, abs=1e-7)
    assert (found[0], found[-1]) == pytest.approx((tail, head), abs=1e-7)


def test_classes_that_are_alike_are_all_at_the_head():
    stats = ClassStats(("ant", "bee"), [3, 3], [4, 4], 5)
    loss = started(LabelAwareSmoothingLoss(CE, head=0.25), stats)
    assert loss.smoothing.value.tolist() == [0.25, 0.25]


@settings(max_examples=40)
@given(
    smoothing=st.lists(st.floats(0, 1), min_size=3, max_size=3),
    over=st.sampled_from(["classes", "outputs"]),
)
def test_smoothed_targets_are_shares_of_what_they_were(smoothing, over):
    loss = LabelAwareSmoothingLoss(CE, smoothing=smoothing, over=over)
    found = loss.smoothed(torch.arange(4), 4)
    torch.testing.assert_close(found.sum(1), torch.ones(4))
    assert (found >= 0).all()
    assert found[3].tolist() == [0, 0, 0, 1]
    if over == "classes":
        assert (found[:3, 3] == 0).all()


@pytest.mark.parametrize("wrapper", [LabelAwareSmoothingLoss, CALSLoss])
def test_only_one_softmax_can_be_smoothed_or_held(wrapper):
    """All losses of the contract, as far as their cases go."""
    refused, taken = set(), set()
    for case in of_activation("softmax", "sigmoid"):
        inner = MODELS.build(case.config)
        fits = case.activation == "softmax" and not case.needs_classes
        if wrapper is LabelAwareSmoothingLoss:
            fits = fits and not inner.observes
        if isinstance(inner, (LossWrapper, FadingLoss)):
            continue
        if fits:
            assert isinstance(wrapper(inner), ImbalanceLoss)
            taken.add(case.loss)
        else:
            with pytest.raises(ValueError, match=f"{wrapper.__name__}.*{case.loss}"):
                wrapper(inner)
            refused.add(case.loss)
    assert {"SeesawLoss", "FocalLoss", "EQLv2Loss"} <= refused
    assert {"CrossEntropyLoss", "VSLoss", "LDAMLoss", "AlphaLoss"} <= taken


def test_a_loss_that_counts_rows_cannot_be_smoothed():
    inner = dict(type="imb_det.BalancedSoftmaxLoss", prior="rows")
    with pytest.raises(ValueError, match=r"learns from the classes.*prior='instances'"):
        LabelAwareSmoothingLoss(inner)


@pytest.mark.parametrize(
    ("wrapper", "bad"),
    [
        (LabelAwareSmoothingLoss, dict(head=1.5)),
        (LabelAwareSmoothingLoss, dict(tail=-0.1)),
        (LabelAwareSmoothingLoss, dict(smoothing="steep")),
        (LabelAwareSmoothingLoss, dict(by="boxes")),
        (LabelAwareSmoothingLoss, dict(over="all")),
        (CALSLoss, dict(margin=0)),
        (CALSLoss, dict(penalty="relu")),
        (CALSLoss, dict(normalize=1)),
    ],
    ids=str,
)
def test_bad_arguments_of_smoothing_and_cals(wrapper, bad):
    (key,) = bad
    with pytest.raises((ValueError, TypeError), match=f"`{key}` must"):
        wrapper(CE, **bad)


def test_penalties_by_hand():
    # phr: ((0.5 + 2 * 0.25)^2 - 0.5^2) / 4 and 0.5 + 2 * 0.25
    cases = {
        "phr": (0.75 / 4, 1.0),
        "p3": (0.125 + 0.0625, 0.5 + 0.5),
        "p2": (0.125 + 0.0625 + 4 / 64 / 6, 0.5 + 0.5 + 4 / 16 / 2),
    }
    for form, wanted in cases.items():
        found = penalty_of(form, *map(torch.tensor, (0.25, 0.5, 2.0)))
        assert [x.item() for x in found] == pytest.approx(wanted)
        below = penalty_of(form, *map(torch.tensor, (-1.0, 0.5, 2.0)))
        flat = (-0.0625, 0.0) if form == "phr" else (-0.5 / 3, 0.5 / 9)
        assert [x.item() for x in below] == pytest.approx(flat)


@settings(max_examples=60)
@given(
    form=st.sampled_from(PENALTIES),
    h=st.floats(-50, 50),
    multiplier=st.floats(1e-6, 100),
    rho=st.floats(0.1, 10),
)
def test_penalties_equal_the_formula_and_rise(form, h, multiplier, rho):
    numbers = [torch.tensor(x, dtype=torch.float64) for x in (h, multiplier, rho)]
    value, slope = penalty_of(form, *numbers)
    wanted = wrappers.penalty(h, multiplier, rho, form)
    assert (value.item(), slope.item()) == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    assert slope >= 0
    step = torch.tensor(1e-6, dtype=torch.float64)
    after = penalty_of(form, numbers[0] + step, *numbers[1:])[0]
    assert ((after - value) / step).item() == pytest.approx(
        slope.item(), rel=1e-3, abs=1e-4
    )


@pytest.mark.parametrize("form", PENALTIES)
def test_penalties_of_what_is_far_off_are_straight_lines(form):
    near, far = (
        penalty_of(form, *map(torch.tensor, (h, 0.5, 2.0))) for h in (100, 150)
    )
    assert far[1] == near[1] > 0
    assert far[0].item() == pytest.approx((near[0] + 50 * near[1]).item())


def test_logits_within_their_margin_are_left_alone():
    loss = CALSLoss(CE, margin=10.0)
    loss.set_multipliers(torch.tensor(1e-6), torch.tensor(1.0))
    logits = torch.tensor([[4.0, -3.0, 1.0, 0.0]], dtype=torch.float64).requires_grad_()
    plain = CrossEntropyLoss()(logits, torch.tensor([0]))
    value = loss(logits, torch.tensor([0]))
    torch.testing.assert_close(value, plain)
    torch.testing.assert_close(gradient_of(value, logits), gradient_of(plain, logits))


def test_a_broken_margin_is_drawn_together():
    loss = CALSLoss(CE, margin=2.0)
    loss.set_multipliers(torch.tensor(0.5), torch.tensor(1.0))
    logits = torch.tensor([[6.0, 0.0, 5.0]], dtype=torch.float64).requires_grad_()
    plain = CrossEntropyLoss()(logits, torch.tensor([0]))
    slope = gradient_of(loss(logits, torch.tensor([0])), logits)
    # h = (-1, 2, -0.5): slopes 0, 2.5 and 0, of three logits, over the margin of 2.
    pull = torch.tensor([[2.5 / 6, -2.5 / 6, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(slope, gradient_of(plain, logits) + pull)
