"""Batches at the edge of what a loss can meet: a finite loss that has a gradient."""

import pytest
import torch

from .batches import (
    BACKGROUND,
    assert_finite,
    channels,
    forms_of_labels,
    make_batch,
    placed,
    warm,
)
from .cases import of_activation, one_of_each_loss

each = pytest.mark.parametrize("case", of_activation("softmax", "sigmoid"), ids=str)
each_loss = pytest.mark.parametrize("case", one_of_each_loss(), ids=str)
places = pytest.mark.parametrize("place", ["dense", "RoI"])


@each_loss
@places
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_no_rows(case, place, reduction):
    for loss in (placed(case, place, reduction=reduction), case.build()):
        for avg_factor in [None] if reduction == "sum" else [None, 0.0, 1.0]:
            logits, labels = make_batch(case, labels=())
            value = loss(logits, labels, labels.double(), avg_factor)
            assert_finite(value, logits)
            assert value.sum() == 0
            for form in forms_of_labels(case, labels):
                assert_finite(loss(logits, form), logits)
    assert loss.get_accuracy(logits, labels)["acc"] == 0


@each_loss
@places
@pytest.mark.parametrize("avg_factor", [None, 0.0, 1.0])
def test_zero_weight(case, place, avg_factor):
    logits, labels = make_batch(case)
    weight = torch.zeros(len(labels))
    for loss in (placed(case, place), case.build()):
        value = loss(logits, labels, weight, avg_factor)
        assert value == 0
        assert (assert_finite(value, logits) == 0).all()


@each_loss
@places
@pytest.mark.parametrize("avg_factor", [None, 0.0, 1.0])
def test_all_ignored(case, place, avg_factor):
    logits, labels = make_batch(case, labels=(-1, -1, -100))
    for loss in (placed(case, place), case.build()):
        value = loss(logits, labels, None, avg_factor)
        assert value == 0
        assert (assert_finite(value, logits) == 0).all()


@each
@pytest.mark.parametrize("label", [*range(BACKGROUND), BACKGROUND])
def test_all_rows_alike(case, label):
    logits, labels = make_batch(case, labels=(label,) * 4)
    for loss in (warm(case)[0], case.build()):
        value = loss(logits, labels, avg_factor=1.0)
        assert value > 0
        assert assert_finite(value, logits).abs().sum() > 0


@each_loss
def test_shapes_that_do_not_fit_are_named(case):
    loss, _ = warm(case)
    logits, labels = make_batch(case)
    width = channels(case)
    shape = rf"\(7, {width}\)"
    with pytest.raises(ValueError, match=rf"label.*{shape}.*\(9,\)"):
        loss(logits, torch.zeros(9, dtype=torch.long))
    with pytest.raises(ValueError, match=rf"label.*{shape}.*\(7, {width + 2}\)"):
        loss(logits, torch.zeros(7, width + 2))
    for wrong in ((6,), (6, width), (7, width + 1), (7 * width + 1,)):
        text = rf"weight.*{shape}.*\({', '.join(map(str, wrong))},?\)"
        with pytest.raises(ValueError, match=text):
            loss(logits, labels, torch.ones(wrong))
    with pytest.raises(ValueError, match=r"cls_score.*\(7, 2, 2\)"):
        loss(torch.zeros(7, 2, 2), labels)
    with pytest.raises(ValueError, match=r"0 to 2.*background 3.*got 4"):
        loss(logits, labels + (labels == BACKGROUND))


@each_loss
def test_logits_that_are_no_numbers_are_named(case):
    loss, _ = warm(case)
    logits, labels = make_batch(case)
    with torch.no_grad():
        logits[2, 1] = logits[0] = torch.nan
    weight = torch.ones(7)
    weight[0] = 0  # of no account, so that it is not named
    text = rf"{case.loss}: .* 1 of 7 rows, .*nan in row 2 \(label 2\), channel 1\. .*lr"
    with pytest.raises(FloatingPointError, match=text):
        loss(logits, labels, weight)


@each_loss
def test_logits_that_are_no_numbers_reach_the_loss_on_a_gpu(case, elsewhere):
    # A hook then stops the training; an index out of range would stop the GPU.
    loss, _ = warm(case)
    logits, labels = make_batch(case)
    with torch.no_grad():
        logits[2] = torch.nan
    assert loss(logits, labels).isnan()


@each_loss
def test_mixed_precision_may_overflow(case):
    # Its scaler leaves the step out.
    loss, _ = warm(case)
    logits, labels = make_batch(case, dtype=torch.float16)
    with torch.no_grad():
        logits[2] = torch.nan
    assert loss(logits, labels).isnan()
