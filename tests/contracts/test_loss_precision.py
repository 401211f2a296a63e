"""Extreme logits, half precision, and gradients in float64."""

import copy

import pytest
import torch
from torch.autograd import gradcheck

from .batches import (
    BACKGROUND,
    LABELS,
    assert_finite,
    channels,
    forms_of_labels,
    gradient_of,
    make_batch,
    one_hot_targets,
    placed,
    soft_targets,
    warm,
)
from .cases import of_activation, one_of_each_loss

each = pytest.mark.parametrize("case", of_activation("softmax", "sigmoid"), ids=str)
each_loss = pytest.mark.parametrize("case", one_of_each_loss(), ids=str)
places = pytest.mark.parametrize("place", ["dense", "RoI"])

FLOAT16_MAX = 65504.0


@each
@pytest.mark.parametrize(
    ("size", "dtype"),
    [
        (1e4, torch.float64),
        (1e4, torch.float32),
        (1e4, torch.bfloat16),
        (FLOAT16_MAX, torch.float32),
        (FLOAT16_MAX, torch.float16),
        (0.0, torch.float32),
    ],
    ids=str,
)
def test_extreme_logits(case, size, dtype):
    _, labels = make_batch(case)
    targets = one_hot_targets(case, labels)
    signs = torch.tensor([1.0, -1.0]).repeat(channels(case))[: channels(case)]
    alternate = signs.expand_as(targets)
    sure = 2 * targets - 1
    ready, _ = warm(case)
    for signs in (alternate, -alternate, sure, -sure):
        for label in forms_of_labels(case, labels):
            loss = copy.deepcopy(ready)
            logits = (size * signs).to(dtype).requires_grad_()
            value = loss(logits, label, avg_factor=float(len(LABELS)))
            assert_finite(value, logits)


@each_loss
@places
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_close(case, place, dtype):
    logits, labels = make_batch(case, dtype=dtype)
    wide = logits.detach().float().requires_grad_()
    loss = placed(case, place)
    value = copy.deepcopy(loss)(logits, labels, avg_factor=2.0)
    wanted = loss(wide, labels, avg_factor=2.0)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, wanted, rtol=1e-5, atol=1e-6)
    slope = assert_finite(value, logits)
    assert slope.dtype == dtype
    expected = gradient_of(wanted, wide).to(dtype)
    torch.testing.assert_close(slope, expected, rtol=2e-2, atol=1e-3)


@each
def test_loss_scaling_keeps_small_gradients(case):
    # Background that is nearly sure, with the scale that mixed precision starts with.
    logits = torch.linspace(-16, -8, len(LABELS))[:, None].repeat(1, channels(case))
    if case.channels:
        logits[:, -1] = 16 if case.sigmoid else 0
    labels = torch.full((len(LABELS),), BACKGROUND)
    slopes = []
    for dtype in (torch.float16, torch.float32):
        loss, _ = warm(case)
        leaf = logits.half().to(dtype).requires_grad_()
        value = 2.0**16 * loss(leaf, labels, avg_factor=1.0)
        slopes.append(gradient_of(value, leaf).float())
    torch.testing.assert_close(*slopes, rtol=1e-2, atol=1e-6)


@each_loss
def test_autocast(case):
    loss, _ = warm(case)
    features = torch.randn(len(LABELS), 5)
    weight = torch.randn(channels(case), 5, requires_grad=True)
    labels = torch.tensor(LABELS)

    def run(module):
        return module(torch.nn.functional.linear(features, weight), labels)

    wanted = run(copy.deepcopy(loss))
    with torch.autocast("cpu", torch.bfloat16):
        found = run(loss)
        slope = torch.autograd.grad(found, weight)[0]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, rtol=0.05, atol=0.02)
    assert slope.isfinite().all()


def differentiable(place, every_day):
    """Cases whose gradient is that of differences; others than some once a week."""
    return [
        pytest.param(place, case, marks=() if case in every_day else pytest.mark.weekly)
        for case in of_activation("softmax", "sigmoid")
        if not case.is_detached
    ]


@pytest.mark.parametrize(
    ("place", "case"),
    [
        *differentiable("dense", of_activation("softmax", "sigmoid")),
        *differentiable("RoI", one_of_each_loss()),
    ],
    ids=str,
)
def test_gradcheck(case, place):
    # The other reductions are sums of these.
    loss = placed(case, place, reduction="none").eval()
    logits, labels = make_batch(case, labels=(0, BACKGROUND, 2))
    weight = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    for targets in forms_of_labels(case, labels, soft_targets(case)[:3]):
        assert gradcheck(lambda z, y=targets: loss(z, y, weight), (logits,))
