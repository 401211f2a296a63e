"""Clipped logits: norm, direction, gradient, and what they can still say."""

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imb_det.core import CheckContext, Severity
from imb_det.losses import (
    CrossEntropyLoss,
    LogitClipLoss,
)
from imb_det.losses.logit_clip_loss import ClippedLink, clip_logits
from tests.contracts.batches import gradient_of
from tests.contracts.case import STATS
from tests.references import wrappers
from tests.wrapped_losses import CE, EQLV2

logit_rows = st.lists(
    st.lists(st.floats(-1e4, 1e4, allow_nan=False, width=32), min_size=4, max_size=4),
    min_size=1,
    max_size=5,
)
norms = st.sampled_from([1.0, 1.5, 2.0, 3.0, math.inf])


@settings(max_examples=60)
@example(rows=[[0.0, 0.0, 0.0, 1.0]], tau=29.40625, p=1.0)  # tau / tau is not 1
@example(rows=[[0.0, 0.0, 0.0, 1.0]], tau=29.40625, p=2.0)
@given(rows=logit_rows, tau=st.floats(0.01, 100), p=norms)
def test_clipped_logits_keep_their_direction_and_end_at_tau(rows, tau, p):
    z = torch.tensor(rows, dtype=torch.float64)
    found = clip_logits(z, tau, p)
    size = torch.linalg.vector_norm(found, p, dim=1)
    assert (size <= tau * (1 + 1e-9)).all()
    for row, clipped in zip(rows, found.tolist(), strict=True):
        assert clipped == pytest.approx(wrappers.clipped(row, tau, p), rel=1e-9)
    short = torch.linalg.vector_norm(z, p, dim=1) <= tau * (1 - 1e-9)
    assert torch.equal(found[short], z[short])
    again = clip_logits(found, tau, p)
    torch.testing.assert_close(again, found)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, math.inf])
def test_gradients_are_those_of_differences(p):
    z = torch.tensor([[0.3, -0.4, 0.1], [3.0, -2.0, 1.0], [9.0, 5.0, -7.0]])
    z = z.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: clip_logits(z, 2.0, p), z)


def test_clipped_by_hand():
    loss = LogitClipLoss(CE, tau=5.0)
    # (6, 8, 0) has the norm 10: half of it is what counts.
    value = loss(torch.tensor([[6.0, 8.0, 0.0]]), torch.tensor([0]))
    wanted = -math.log(math.exp(3) / (math.exp(3) + math.exp(4) + 1))
    assert value.item() == pytest.approx(wanted)
    scores = loss.get_activation(torch.tensor([[6.0, 8.0, 0.0]]))
    assert scores[0, 0].item() == pytest.approx(math.exp(-wanted))


def test_a_clipped_row_turns_but_grows_no_more():
    loss = LogitClipLoss(CE, tau=1.0)
    logits = torch.tensor([[3.0, -2.0, 1.0]], dtype=torch.float64).requires_grad_()
    slope = gradient_of(loss(logits, torch.tensor([1])), logits)
    assert slope.abs().sum() > 0.1
    assert (slope * logits).sum().item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("p", [1.0, 2.0, math.inf])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_zero_logits_and_large_ones_have_gradients(p, dtype):
    loss = LogitClipLoss(CE, p=p)
    largest = torch.finfo(torch.float16).max
    logits = torch.tensor([[0.0] * 4, [largest] * 4, [largest, 0, 0, -largest]])
    logits = logits.to(dtype).requires_grad_()
    value = loss(logits, torch.tensor([0, 3, 2]))
    slope = gradient_of(value, logits)
    assert value.isfinite()
    assert slope.isfinite().all()
    assert slope[0].abs().sum() > 0


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 4.0, math.inf])
@pytest.mark.parametrize("channels", [2, 5, 81])
def test_the_highest_probability(p, channels):
    link = ClippedLink(CrossEntropyLoss(), 2.0, p)
    high = link.highest(channels)
    best = 0.0
    for share in torch.linspace(0, 1, 2001, dtype=torch.float64).tolist():
        row = torch.full((1, channels), share - 1, dtype=torch.float64)
        row[0, 0] = share
        size = torch.linalg.vector_norm(row, p)
        best = max(best, (row * 2 / size).softmax(1)[0, 0].item())
    assert best == pytest.approx(high, rel=1e-4)
    assert best <= high * (1 + 1e-9)
    assert ClippedLink(CrossEntropyLoss(), None, p).highest(channels) > 0.98


def test_a_clip_that_is_too_tight_is_a_warning():
    context = CheckContext(class_stats=STATS, train_loop=object())
    codes = {}
    for name, config, arguments in (
        ("wide", CE, {}),
        ("tight", CE, dict(tau=0.667)),
        ("start", EQLV2, dict(tau=5.0)),
        ("wide sigmoid", EQLV2, dict(tau=14.0)),
    ):
        found = list(LogitClipLoss(config, **arguments).findings(context))
        assert all(each.severity is Severity.WARNING for each in found)
        codes[name] = [each.code for each in found]
    assert codes == {
        "wide": [],
        "tight": ["clipped_scores"],
        "start": ["clipped_bias"],
        "wide sigmoid": [],
    }


@pytest.mark.parametrize("bad", [dict(tau=0), dict(tau="1"), dict(p=0.5), dict(p=-1)])
def test_bad_arguments_of_a_clip(bad):
    (key,) = bad
    with pytest.raises((ValueError, TypeError), match=f"`{key}` must be"):
        LogitClipLoss(CE, **bad)
