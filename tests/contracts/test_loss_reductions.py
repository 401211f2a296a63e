"""One law of reductions for every classification loss: that of mmdet."""

import pytest
import torch

from imb_det.losses import CrossEntropyLoss, flush_statistics
from imb_det.registry import MODELS
from tests.references.reduction import EPS

from .batches import channels, gradient_of, make_batch, warm
from .cases import one_of_each_kernel, one_of_each_loss

each = pytest.mark.parametrize("case", one_of_each_loss(), ids=str)
OF_GRADIENTS = ("EqualizedFocalLoss", "EqualizedQualityFocalLoss")


@each
@pytest.mark.parametrize("place", ["dense", "RoI"])
def test_one_law_of_reductions(case, place):
    loss, _ = warm(case)
    if place == "RoI":
        assert loss.get_cls_channels(3) == channels(case)
    logits, labels = make_batch(case)
    values = loss(logits, labels, reduction_override="none")
    elements = case.sigmoid and not case.of_rows and place == "dense"
    assert values.shape == (logits.shape if elements else labels.shape)
    total = values.sum()
    torch.testing.assert_close(loss(logits, labels, reduction_override="sum"), total)
    ignored = loss(logits, labels, avg_factor=3.0, reduction_override="none")
    torch.testing.assert_close(ignored, values)
    mean = loss(logits, labels, reduction_override="mean")
    average = loss(logits, labels, avg_factor=3.0, reduction_override="mean")
    if loss.own_normaliser:
        # The authors' normaliser in place of the head's.
        torch.testing.assert_close(average, mean)
        torch.testing.assert_close(
            gradient_of(mean, logits) / mean, gradient_of(total, logits) / total
        )
    else:
        torch.testing.assert_close(mean, values.mean())
        torch.testing.assert_close(average, total / (3.0 + EPS))
        tensor = torch.tensor(3.0)
        again = loss(logits, labels, avg_factor=tensor, reduction_override="mean")
        torch.testing.assert_close(again, average)


@each
def test_rows_in_roi_heads_are_sums_over_classes(case):
    dense, roi = warm(case)[0], warm(case)[0]
    roi.get_cls_channels(3)
    logits, labels = make_batch(case)
    values = dense(logits, labels, reduction_override="none")
    rows = values if values.dim() == 1 else values.sum(1)
    found = roi(logits, labels, reduction_override="none")
    torch.testing.assert_close(found, rows)
    torch.testing.assert_close(gradient_of(found, logits), gradient_of(rows, logits))


@each
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_override_equals_the_argument(case, reduction):
    logits, labels = make_batch(case)
    wanted = warm(case, reduction=reduction)[0](logits, labels)
    found = warm(case)[0](logits, labels, reduction_override=reduction)
    torch.testing.assert_close(found, wanted)


@each
def test_loss_weight_is_a_factor(case):
    logits, labels = make_batch(case)
    whole, tenth = (warm(case, loss_weight=w)[0](logits, labels) for w in (1.0, 0.1))
    torch.testing.assert_close(tenth, whole / 10)


@each
def test_errors_name_what_is_valid(case):
    loss, _ = warm(case)
    batch = make_batch(case)
    if loss.own_normaliser:
        found = loss(*batch, avg_factor=2.0, reduction_override="sum")
        torch.testing.assert_close(found, loss(*batch, reduction_override="sum"))
    else:
        with pytest.raises(ValueError, match="avg_factor"):
            loss(*batch, avg_factor=2.0, reduction_override="sum")
    with pytest.raises(ValueError, match=r"'none', 'mean', 'sum'.*'average'"):
        loss(*batch, reduction_override="average")
    with pytest.raises(ValueError, match=r"'none', 'mean', 'sum'.*'average'"):
        MODELS.build(dict(case.config, reduction="average"))


@each
def test_gradients_follow_the_same_law(case):
    loss = warm(case)[0].eval()  # statistics stand still
    logits, labels = make_batch(case)
    values = loss(logits, labels, reduction_override="none")
    value = loss(logits, labels, avg_factor=3.0)
    wanted = gradient_of(values.sum(), logits) * (value / values.sum()).detach()
    for factor in (1.0, 1.0, -2.0, 1.0):
        found = torch.autograd.grad(factor * value, logits, retain_graph=True)[0]
        torch.testing.assert_close(found, factor * wanted)
        found.mul_(0)  # what others do with it stays with them
        logits.grad = None
        (factor * value).backward(retain_graph=True)
        logits.grad.zero_()


@pytest.mark.parametrize("case", one_of_each_kernel(), ids=str)
def test_gradients_of_a_view_and_of_many_at_once(case):
    loss = warm(case)[0].eval()
    logits, labels = make_batch(case)
    leaf = logits.detach().flatten().requires_grad_()
    value = loss(leaf.view_as(logits), labels, avg_factor=3.0)
    wanted = gradient_of(loss(logits, labels, avg_factor=3.0), logits).flatten()
    for _ in range(3):
        leaf.grad = None
        value.backward(retain_graph=True)
        torch.testing.assert_close(leaf.grad, wanted)
        leaf.grad.zero_()
    rows = loss(logits, labels, reduction_override="none")
    rows = rows if rows.dim() == 1 else rows.sum(1)
    chosen = torch.eye(len(rows), dtype=rows.dtype)
    found = torch.autograd.grad(
        rows, logits, chosen, is_grads_batched=True, retain_graph=True
    )[0]
    for i, of_row in enumerate(found):
        wanted = torch.autograd.grad(rows[i], logits, retain_graph=True)[0]
        torch.testing.assert_close(of_row, wanted)
    value = loss(logits, labels, avg_factor=3.0)
    pair = torch.ones(2, dtype=value.dtype)
    found = torch.autograd.grad(value, logits, pair, is_grads_batched=True)[0]
    torch.testing.assert_close(found[0], found[1])


@each
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_no_digits_are_lost_to_the_type_of_the_divisor(case, dtype):
    loss = warm(case)[0].eval()
    logits, labels = make_batch(case)
    number = float(torch.tensor(301.0).to(dtype))
    wanted = loss(logits, labels, avg_factor=number)
    found = loss(logits, labels, avg_factor=torch.tensor(number, dtype=dtype))
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=0)


@each
@pytest.mark.parametrize("avg_factor", [1e-30, 0.0, 1e30, 1e46])
def test_extreme_divisors_change_nothing_else(case, avg_factor):
    values = []
    for divisor in (1.0, avg_factor):
        loss, _ = warm(case, loss_weight=1e33 if divisor == 0 else 1.0)
        logits, labels = make_batch(case)
        if divisor == 0:  # nothing counts
            value = loss(logits, labels.clone().fill_(-1), avg_factor=divisor)
            assert value == 0
            continue
        loss(logits, labels, avg_factor=divisor)
        flush_statistics(loss)
        values.append(loss(logits, labels, reduction_override="none"))
    if len(values) == 2 and case.loss not in OF_GRADIENTS:
        torch.testing.assert_close(values[1], values[0])


def test_rows_of_the_least_weight_count():
    """A weight and a factor that are both small: the row is still one that is seen."""
    case = next(c for c in one_of_each_loss() if c.loss == "EBLLoss")
    logits, labels = make_batch(case)
    weight = torch.full_like(labels, 1e-38, dtype=torch.float32)
    learnt = []
    for avg_factor in (4.0, 1e9):
        loss, _ = warm(case)
        before = [value.clone() for value in loss.state_dict().values()]
        loss(logits.float(), labels, weight, avg_factor=avg_factor)
        flush_statistics(loss)
        learnt.append(list(loss.state_dict().values()))
    assert any(not torch.equal(*pair) for pair in zip(before, learnt[0], strict=True))
    for one, other in zip(*learnt, strict=True):
        torch.testing.assert_close(one, other)


def test_a_loss_with_another_way_says_whether_it_multiplies():
    class Squared(CrossEntropyLoss):
        def unreduced(self, cls_score, call, per_row):
            found = super().unreduced(cls_score, call, per_row)
            return found._replace(loss=found.loss**2)

    logits = torch.randn(4, 3)
    labels = torch.tensor([0, 1, 2, 3])
    rows = CrossEntropyLoss(use_sigmoid=True, reduction="none")(logits, labels).sum(1)
    found = Squared(use_sigmoid=True)(logits, labels, avg_factor=4.0)
    torch.testing.assert_close(found, (rows**2).sum() / 4)


def test_a_loss_weight_may_be_learnt():
    loss = CrossEntropyLoss(use_sigmoid=True)
    loss.loss_weight = torch.tensor(2.0, requires_grad=True)
    value = loss(torch.randn(4, 3), torch.tensor([0, 1, 2, 3]), avg_factor=4.0)
    value.backward()
    torch.testing.assert_close(loss.loss_weight.grad, value.detach() / 2)


@each
def test_what_is_learnt_does_not_depend_on_the_factor(case):
    if case.loss in OF_GRADIENTS:
        pytest.skip("its sums are of gradients as they reach the classifier")
    values = []
    for weight, avg_factor in ((1.0, 1.0), (0.3, 7.0)):
        loss, _ = warm(case, loss_weight=weight)
        logits, labels = make_batch(case)
        loss(logits, labels, avg_factor=avg_factor).backward()
        flush_statistics(loss)
        values.append(loss(logits, labels, reduction_override="none"))
    torch.testing.assert_close(values[1] / 0.3, values[0])
