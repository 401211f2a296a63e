"""One law of reductions for every classification loss: that of mmdet."""

import pytest
import torch

from imb_det.losses import flush_statistics
from imb_det.registry import MODELS
from tests.references.reduction import EPS

from .batches import channels, gradient_of, make_batch, warm
from .cases import one_of_each_loss

each = pytest.mark.parametrize("case", one_of_each_loss(), ids=str)


@each
@pytest.mark.parametrize("place", ["dense", "RoI"])
def test_one_law_of_reductions(case, place):
    loss, _ = warm(case)
    if place == "RoI":
        assert loss.get_cls_channels(3) == channels(case)
    logits, labels = make_batch(case)
    values = loss(logits, labels, reduction_override="none")
    elements = case.sigmoid and place == "dense"
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
    rows = values.sum(1) if case.sigmoid else values
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
        logits.grad = None
        (factor * value).backward(retain_graph=True)
        logits.grad.zero_()  # what others do with it stays with them


@each
def test_what_is_learnt_does_not_depend_on_the_factor(case):
    if case.loss == "EqualizedFocalLoss":
        pytest.skip("its sums are of gradients as they reach the classifier")
    values = []
    for weight, avg_factor in ((1.0, 1.0), (0.3, 7.0)):
        loss, _ = warm(case, loss_weight=weight)
        logits, labels = make_batch(case)
        loss(logits, labels, avg_factor=avg_factor).backward()
        flush_statistics(loss)
        values.append(loss(logits, labels, reduction_override="none"))
    torch.testing.assert_close(values[1] / 0.3, values[0])
