"""ABSGD: weights by hand, their normaliser, and its limits."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from imb_det.losses import (
    ABSGDLoss,
    CrossEntropyLoss,
    flush_statistics,
    manage_statistics,
)
from imb_det.statistics.running_log_mean import RunningLogMean
from tests.contracts.batches import gradient_of
from tests.references import wrappers
from tests.wrapped_losses import CE, batch, started


def test_weights_by_hand():
    loss = started(ABSGDLoss(CE, lam=2.0, gamma=1.0, rows="all"))
    two, four = torch.zeros(1, 3), torch.zeros(1, 3)
    two[0, 0], four[0, 0] = 0.0, -1.0
    logits, labels = torch.cat([two, four]), torch.tensor([0, 0])
    plain = CrossEntropyLoss()(logits, labels, reduction_override="none")
    first = loss(logits, labels)
    assert first.item() == pytest.approx(plain.mean().item())  # nothing is known yet
    flush_statistics(loss)
    u = (plain / 2).exp().mean()
    weights = (plain / 2).exp() / u
    assert weights.mean().item() == pytest.approx(1)
    rows = loss(logits, labels, reduction_override="none")
    torch.testing.assert_close(rows, weights * plain)


losses_of_rows = st.lists(st.floats(0, 30), min_size=1, max_size=20)


@settings(max_examples=60)
@given(
    rows=losses_of_rows,
    lam=st.floats(-50, 50).filter(lambda x: abs(x) > 0.1),
    gamma=st.floats(0.05, 1),
)
def test_the_mean_of_exponentials_is_exact_and_weights_average_to_one(rows, lam, gamma):
    stats = RunningLogMean(gamma)
    manage_statistics(stats)
    reference = wrappers.Normaliser(gamma)
    counted = torch.ones(len(rows), dtype=torch.bool)
    exponents = torch.tensor(rows, dtype=torch.float64) / lam
    for step in range(3):
        shifted = exponents * (1 + step)
        blended = stats.blended(shifted, counted)
        stats.add_rows(shifted, counted)
        flush_statistics(stats)
        reference.u = reference.after([x * (1 + step) for x in rows], lam)
        assert stats.value.item() == pytest.approx(math.log(reference.u), abs=1e-9)
        assert blended.item() == pytest.approx(stats.value.item(), abs=1e-9)
        if step == 0:
            weights = (shifted - stats.value).exp()
            assert weights.mean().item() == pytest.approx(1)


def test_exponentials_that_float64_does_not_have():
    stats = RunningLogMean(0.5)
    manage_statistics(stats)
    counted = torch.tensor([True, True, False])
    for size in (250.0, 500.0, 700.0):
        rows = torch.tensor([size, 0.0, math.nan], dtype=torch.float64)
        stats.add_rows(rows, counted)
        flush_statistics(stats)
    assert stats.value.item() == pytest.approx(700 - 2 * math.log(2), abs=1e-6)


def test_a_step_without_positives_leaves_the_normaliser_alone():
    loss = started(ABSGDLoss(CE))
    logits, labels = batch(loss)
    loss(logits, labels)
    flush_statistics(loss)
    before = copy.deepcopy(loss.state_dict())
    background = torch.full_like(labels, 3)
    plain = CrossEntropyLoss()(logits, background, reduction_override="none")
    torch.testing.assert_close(
        loss(logits, background, reduction_override="none"), plain
    )
    loss(logits, background)
    flush_statistics(loss)
    assert all(torch.equal(v, before[k]) for k, v in loss.state_dict().items())


@pytest.mark.parametrize("lam", [3.0, -3.0])
@pytest.mark.parametrize("statistics", ["step", "call"])
def test_hard_rows_weigh_more_or_less(lam, statistics):
    loss = started(ABSGDLoss(CE, lam=lam, statistics=statistics))
    logits, labels = batch(loss, rows=40)
    loss(logits, labels)
    flush_statistics(loss)
    plain = CrossEntropyLoss()(logits, labels, reduction_override="none")
    weight = (loss(logits, labels, reduction_override="none") / plain).detach()
    positive = labels < 3
    assert (weight[~positive] == 1).all()
    order = plain[positive].argsort()
    rising = weight[positive][order].diff() * math.copysign(1, lam)
    assert (rising > 0).all()


def test_a_large_lambda_weighs_nothing():
    loss = started(ABSGDLoss(CE, lam=1e6))
    logits, labels = batch(loss)
    loss(logits, labels)
    flush_statistics(loss)
    torch.testing.assert_close(
        loss(logits, labels), CrossEntropyLoss()(logits, labels), rtol=1e-5, atol=0
    )


def test_weights_have_a_limit_and_no_gradient():
    loss = started(ABSGDLoss(CE, lam=0.5, max_weight=20.0))
    easy = torch.tensor([[9.0, 0, 0, 0]], dtype=torch.float64)
    loss(easy, torch.tensor([0]))
    flush_statistics(loss)
    hard = torch.tensor([[0.0, 9, 0, 0]], dtype=torch.float64).requires_grad_()
    plain = CrossEntropyLoss()(hard, torch.tensor([0]))
    value = loss(hard, torch.tensor([0]))
    torch.testing.assert_close(value, 20 * plain)
    torch.testing.assert_close(gradient_of(value, hard), 20 * gradient_of(plain, hard))


def test_weights_of_classes_act_in_the_exponent_too():
    inner = dict(CE, class_weight=[4.0, 1.0, 1.0])
    loss = started(ABSGDLoss(inner, lam=3.0, gamma=1.0))
    logits = torch.zeros(2, 4)
    labels = torch.tensor([0, 1])
    loss(logits, labels)
    flush_statistics(loss)
    rows = [4 * math.log(4), math.log(4)]
    u = sum(math.exp(x / 3) for x in rows) / 2
    wanted = [x * math.exp(x / 3) / u for x in rows]
    found = loss(logits, labels, reduction_override="none").tolist()
    assert found == pytest.approx(wanted)


@pytest.mark.parametrize(
    "bad",
    [
        dict(lam=0),
        dict(lam="5"),
        dict(gamma=0),
        dict(gamma=1.1),
        dict(rows="negatives"),
        dict(statistics="epoch"),
        dict(max_weight=0.5),
    ],
    ids=str,
)
def test_bad_arguments_of_absgd(bad):
    (key,) = bad
    with pytest.raises((ValueError, TypeError), match=f"`{key}` must"):
        ABSGDLoss(CE, **bad)
