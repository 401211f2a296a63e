"""What takes less time on a CPU is the same as what it stands for."""

import pytest
import torch
import torch.nn.functional as F

from imb_det.losses import StepDraws, Terms, sigmoid_kernel, softmax_kernel
from imb_det.losses.elements import GumbelElement, log1p_sum

ROWS, CLASSES = 12, 7


def batch(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(ROWS, CLASSES, generator=generator)
    labels = torch.randint(CLASSES + 1, (ROWS,), generator=generator)
    return logits.to(dtype), labels


def by_autograd(logits, labels, negative, positive=1.0):
    """Loss of rows and gradient, in float64."""
    leaf = logits.double().requires_grad_()
    y = F.one_hot(labels, CLASSES + 1)[:, :CLASSES].double()
    elements = F.binary_cross_entropy_with_logits(leaf, y, reduction="none")
    rows = (elements * torch.where(y > 0, positive, negative.double())).sum(1)
    (slope,) = torch.autograd.grad(rows.sum(), leaf)
    return rows.detach(), slope


def assert_same(found, wanted):
    for one, other in zip(found, wanted, strict=False):
        torch.testing.assert_close(one.double(), other, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("largest", [0.0, 60.0, 200.0, 1e4])
@pytest.mark.parametrize("kind", [torch.bool, torch.float32])
@pytest.mark.parametrize("shape", [(CLASSES,), (ROWS, CLASSES)], ids=str)
def test_which_negatives_there_are(shape, kind, largest):
    logits, labels = batch()
    logits[3] += largest  # too large for the odds: the exact way
    generator = torch.Generator().manual_seed(1)
    kept = torch.rand(shape, generator=generator) < 0.5
    found = sigmoid_kernel(Terms(negative=kept.to(kind)), logits, labels)
    assert_same(found, by_autograd(logits, labels, kept))


@pytest.mark.parametrize("columns", [1, 2, 3, 5, 7, 8])
@pytest.mark.parametrize("size", [1e-12, 1.0, 1e5])
def test_sums_of_logarithms(columns, size):
    odds = size * torch.rand(4, columns, generator=torch.Generator().manual_seed(0))
    wanted = odds.double().log1p().sum(1, keepdim=True)
    found = log1p_sum(odds.clone())
    torch.testing.assert_close(found.double(), wanted, rtol=1e-6, atol=0)


@pytest.mark.parametrize("kernel", [sigmoid_kernel, softmax_kernel])
def test_few_rows_that_count(kernel):
    logits, labels = batch()
    labels = labels.clamp(max=CLASSES - 1)
    weight = torch.zeros(ROWS)
    weight[[2, 9]] = torch.tensor([1.0, 2.0])
    offset = torch.arange(ROWS * CLASSES).reshape(ROWS, CLASSES) / 50
    terms = Terms(offset=offset)
    spoiled = torch.where(weight[:, None] > 0, logits, torch.nan)
    loss, slope, seen = kernel(terms, spoiled, labels, weight, True, True)
    whole, whole_slope, _ = kernel(terms, logits, labels)
    torch.testing.assert_close(loss, whole * weight)
    torch.testing.assert_close(slope, whole_slope * weight[:, None])
    assert seen.rows.sum() == 2


def test_the_gradient_is_written_where_it_is_wanted():
    logits, labels = batch()
    place = torch.full((ROWS, CLASSES + 2), torch.nan)
    slope = sigmoid_kernel(Terms(), logits, labels, into=place[:, 1:-1])[1]
    assert slope.data_ptr() == place[:, 1:].data_ptr()
    assert_same([slope], [by_autograd(logits, labels, torch.ones(CLASSES))[1]])


def test_gumbel_without_overflow_and_with_it():
    element = GumbelElement()
    logits, labels = batch()
    logits[0] = 30.0  # eight odds of e^10 are too large for a product
    loss = sigmoid_kernel(Terms(element=element), logits, labels)[0]
    z = logits.double().clamp(-4, 10)
    inner = torch.exp(-z)
    y = F.one_hot(labels, CLASSES + 1)[:, :CLASSES] > 0
    wanted = torch.where(y, inner, -torch.log(-torch.expm1(-inner))).sum(1)
    torch.testing.assert_close(loss.double(), wanted, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("share", [0.0, 1e-3, 0.3, 1.0])
def test_draws_have_their_probability(share):
    table = torch.tensor([[share, 1.0, 0.0], [1 - share, 0.0, 1.0]])
    kind = torch.arange(16_000) % 2
    draws, steps = StepDraws("Loss", seed=0), 100
    total = torch.zeros(len(kind), 3)
    for step in range(steps):
        draws.rows.steps.fill_(step)
        total += draws.elements(table)(kind)
    for which in (0, 1):
        mean = (total / steps)[kind == which].mean(0)
        assert mean[1:].tolist() == table[which, 1:].tolist()
        # Bounds are rounded alike for all rows of a call.
        variance = share * (1 - share) / 8000 + 1 / (4 * 255**2)
        spread = (variance / steps) ** 0.5 * (0 < share < 1)
        assert abs(mean[0] - table[which, 0]) <= 5 * spread + 1e-7


def test_rows_and_columns_are_drawn_for_themselves():
    rows, columns, steps = 200, 6, 300
    draws = StepDraws("Loss", seed=0)
    found = []
    for step in range(steps):
        draws.rows.steps.fill_(step)
        drawn = draws.elements(torch.full((1, columns), 0.5))
        found.append(drawn(torch.zeros(rows, dtype=torch.long)).double())
    signs = 2 * torch.stack(found) - 1
    # Means of products of two, with a deviation of 1 / sqrt(number).
    for pairs in (
        signs[:, :, :-1] * signs[:, :, 1:],  # of neighbours in a row
        signs[:, :-1] * signs[:, 1:],  # in a column
        signs[:-1] * signs[1:],  # from step to step
    ):
        assert pairs.mean().abs() < 5 / pairs.numel() ** 0.5
    assert signs.mean((0, 1)).abs().max() < 5 / (rows * steps) ** 0.5
    assert signs.mean((0, 2)).abs().max() < 5 / (columns * steps) ** 0.5
    # No two rows of a step are drawn alike beyond chance: 1/2 of the elements.
    wide = draws.elements(torch.full((1, 64), 0.5))(torch.zeros(500).long()).double()
    alike = (2 * wide - 1) @ (2 * wide - 1).T / 64
    assert (alike - torch.eye(500)).abs().max() < 0.75
