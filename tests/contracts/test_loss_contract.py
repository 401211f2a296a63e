"""Values, gradients, labels and weights of every classification loss."""

import copy

import pytest
import torch

from imb_det.losses import flush_statistics
from tests.references.differences import gradient

from .batches import (
    LABELS,
    channels,
    for_oracle,
    gradient_of,
    make_batch,
    one_hot_targets,
    soft_targets,
    warm,
)
from .cases import (
    CASES,
    NUM_CLASSES,
    of_activation,
    one_of_each_loss,
    with_soft_targets,
)
from .discovery import classification_losses

each = pytest.mark.parametrize("case", of_activation("softmax", "sigmoid"), ids=str)
each_loss = pytest.mark.parametrize("case", one_of_each_loss(), ids=str)
each_soft = pytest.mark.parametrize("case", with_soft_targets(), ids=str)
each_sigmoid = pytest.mark.parametrize("case", of_activation("sigmoid"), ids=str)

# Class weights are float32.
CLOSE = dict(rel=1e-6, abs=1e-12)


def check(case, loss, oracle, logits, labels, weight=None, **rest):
    """Compare value and gradient of a call with those of the oracle."""
    plain = None if weight is None else weight.tolist()
    if case.is_detached:
        oracle.frozen(logits.tolist())

    def wanted(rows):
        targets = for_oracle(case, labels)
        return copy.deepcopy(oracle).loss(rows, targets, plain, **rest)

    found = loss(logits, labels, weight, **rest)
    assert found.item() == pytest.approx(wanted(logits.tolist()), **CLOSE)
    slope = torch.tensor(gradient(wanted, logits.tolist()), dtype=torch.float64)
    torch.testing.assert_close(
        gradient_of(found, logits), slope, rtol=1e-5, atol=1e-8, check_dtype=False
    )
    oracle.loss(logits.tolist(), for_oracle(case, labels), plain, **rest)


@pytest.mark.parametrize("name", classification_losses())
def test_has_cases(name):
    assert any(case.loss == name for case in CASES), (
        f"imb_det.{name} is registered, but tests/contracts/cases.py has no Case for "
        "it: add one for each activation, with an oracle from tests/references"
    )


@each
def test_agrees_with_the_oracle(case):
    loss, oracle = case.build(), case.oracle()
    for step in range(3):
        for call in range(2):
            logits, labels = make_batch(case, seed=10 * step + call)
            check(case, loss, oracle, logits, labels, avg_factor=2.5 if call else None)
        flush_statistics(loss)
        oracle.end_step()


@each_soft
@pytest.mark.parametrize("first", [True, False], ids=["first step", "later"])
def test_soft_labels(case, first):
    loss, oracle = (case.build(), case.oracle()) if first else warm(case)
    logits, _ = make_batch(case)
    check(case, loss, oracle, logits, soft_targets(case))


@pytest.mark.parametrize(
    "case",
    [c for c in of_activation("softmax", "sigmoid") if c.needs_classes],
    ids=str,
)
def test_soft_labels_are_refused_where_rows_need_a_class(case):
    logits, _ = make_batch(case)
    with pytest.raises(ValueError, match="needs classes"):
        case.build()(logits, torch.zeros_like(logits))


@each_soft
def test_one_hot_labels_equal_classes(case):
    loss, _ = warm(case)
    logits, labels = make_batch(case)
    targets = one_hot_targets(case, labels)
    for dtype in (torch.float64, torch.float32, torch.long):
        rows = loss(logits, labels, reduction_override="none")
        same = loss(logits, targets.to(dtype), reduction_override="none")
        torch.testing.assert_close(same, rows)
        torch.testing.assert_close(gradient_of(same, logits), gradient_of(rows, logits))


@each
def test_weights_of_rows(case):
    loss, oracle = warm(case)
    weight = torch.tensor([1.0, 0.0, 2.0, 0.5, 1.0, 0.0, 3.0], dtype=torch.float64)
    check(case, loss, oracle, *make_batch(case), weight)


@each_sigmoid
def test_weights_of_elements(case):
    loss, oracle = warm(case)
    weight = torch.rand(len(LABELS), channels(case)).double().round(decimals=1)
    weight[weight < 0.3] = 0
    check(case, loss, oracle, *make_batch(case), weight)


@each_sigmoid
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_forms_of_weights_agree(case, reduction):
    logits, labels = make_batch(case)
    rows = torch.tensor([1.0, 0.0, 2.0, 0.5, 1.0, 0.0, 3.0], dtype=torch.float64)
    elements = rows[:, None].expand(-1, channels(case))
    wanted = warm(case, reduction=reduction)[0](logits, labels, rows)
    for weight in (elements, elements.reshape(-1)):
        found = warm(case, reduction=reduction)[0](logits, labels, weight)
        torch.testing.assert_close(found, wanted)


@each
def test_negative_labels_are_ignored(case):
    loss, oracle = warm(case)
    logits, labels = make_batch(case)
    labels[[0, 4]] = torch.tensor([-1, -100])
    rows = loss(logits, labels, reduction_override="none")
    assert (rows[[0, 4]] == 0).all()
    assert (gradient_of(rows, logits)[[0, 4]] == 0).all()
    check(case, loss, oracle, logits, labels)


@each_loss
def test_rows_may_change_places(case):
    loss, _ = warm(case)
    logits, labels = make_batch(case)
    order = torch.randperm(len(labels))
    rows = loss(logits, labels, reduction_override="none")
    moved = loss(logits[order], labels[order], reduction_override="none")
    torch.testing.assert_close(moved, rows[order])


@each_loss
@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8], ids=str)
def test_any_whole_numbers_are_labels(case, dtype):
    loss, _ = warm(case)
    logits, labels = make_batch(case)
    wanted = loss(logits, labels, reduction_override="none")
    found = loss(logits, labels.to(dtype), reduction_override="none")
    assert torch.equal(found, wanted)


@pytest.mark.parametrize(
    "case",
    one_of_each_loss(
        [c for c in of_activation("softmax", "sigmoid") if not c.counts_calls]
    ),
    ids=str,
)
@pytest.mark.parametrize("soft", [False, True], ids=["classes", "soft"])
def test_many_rows_equal_few(case, soft, small_chunks):
    if soft and case.needs_classes:
        pytest.skip("needs classes")
    # Losses may work on a part of the rows at a time. These have strides, too.
    loss, _ = warm(case)
    rows, width = 600, channels(case)
    border = small_chunks // width
    assert rows > 3 * border
    logits = torch.randn(width, rows).T.requires_grad_()
    labels = torch.randint(0, NUM_CLASSES + 1, (rows,))
    targets = one_hot_targets(case, labels).float() * 0.5 if soft else labels
    weight = torch.rand(rows, width) if case.sigmoid else torch.rand(rows)
    values = loss(logits, targets, weight, reduction_override="none")
    slope = gradient_of(values, logits)
    for few in (slice(0, 33), slice(border - 9, border + 9), slice(-33, None)):
        part = logits.detach()[few].clone().requires_grad_()
        found = loss(part, targets[few], weight[few], reduction_override="none")
        torch.testing.assert_close(found, values[few])
        torch.testing.assert_close(gradient_of(found, part), slope[few])
    pieces = copy.deepcopy(loss)
    loss(logits, targets, weight, rows)
    for batch in zip(*(x.split(200) for x in (logits, targets, weight)), strict=True):
        pieces(*batch, rows)
    for module in (loss, pieces):
        flush_statistics(module)
    state = pieces.state_dict()
    for name, value in loss.state_dict().items():
        torch.testing.assert_close(value, state[name])
