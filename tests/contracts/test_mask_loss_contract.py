"""Losses of mask heads: binary cross entropy of the mask of an instance's class."""

import pytest
import torch
from torch.autograd import gradcheck

from imb_det.losses import CDBLoss, CrossEntropyLoss
from tests.references.differences import gradient

from .batches import gradient_of
from .cases import NUM_CLASSES, of_activation

each = pytest.mark.parametrize("case", of_activation("mask"), ids=str)


def make_masks(labels=(0, 2, 1, 2), size=(2, 3), dtype=torch.float64):
    """Logits (N, C, h, w) with a gradient, masks (N, h, w) and classes (N,)."""
    shape = (len(labels), NUM_CLASSES, *size)
    logits = (2 * torch.randn(shape, dtype=torch.float64)).to(dtype).requires_grad_()
    masks = (torch.rand(len(labels), *size) > 0.5).to(dtype)
    return logits, masks, torch.tensor(labels, dtype=torch.long)


@each
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_agrees_with_the_oracle(case, reduction):
    logits, masks, labels = make_masks()
    shape = logits.shape

    def wanted(rows):
        full = torch.tensor(rows, dtype=torch.float64).view(shape).tolist()
        batch = masks.tolist(), labels.tolist()
        return case.oracle().loss(full, *batch, reduction)

    rows = logits.flatten(1).tolist()
    found = case.build()(logits, masks, labels, reduction_override=reduction)
    assert found.item() == pytest.approx(wanted(rows), rel=1e-6)
    slope = torch.tensor(gradient(wanted, rows), dtype=torch.float64).view(shape)
    found_slope = gradient_of(found, logits)
    torch.testing.assert_close(found_slope, slope, rtol=1e-5, atol=1e-8)


@each
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int32], ids=str)
def test_any_whole_numbers_are_labels(case, dtype):
    loss = case.build()
    logits, masks, labels = make_masks()
    assert loss(logits, masks, labels.to(dtype)) == loss(logits, masks, labels)
    with pytest.raises(ValueError, match=r"int \(N,\), .*torch.float32 \(4,\)"):
        loss(logits, masks, labels.float())


@pytest.mark.parametrize("loss", [CrossEntropyLoss, CDBLoss])
def test_arguments_that_masks_do_not_have_are_named(loss):
    for wrong in (dict(bg_weight=0.5), dict(compiled=False), dict(gama=2)):
        key = next(iter(wrong))
        with pytest.raises(TypeError, match=rf"{loss.__name__}: .*by name.*'{key}'"):
            loss(use_mask=True, **wrong)
    with pytest.raises(TypeError, match=r"by name, got \[2.0\]"):
        loss(False, True, 2.0)
    assert loss(False, False, 2.0).use_sigmoid is False


@each
def test_one_number_an_instance(case):
    loss = case.build()
    batch = make_masks()
    rows = loss(*batch, reduction_override="none")
    assert rows.shape == (4,)
    torch.testing.assert_close(loss(*batch), rows.mean())
    average = loss(*batch, avg_factor=2.0)
    torch.testing.assert_close(average, rows.sum() / 2)
    with pytest.raises(ValueError, match="avg_factor"):
        loss(*batch, avg_factor=2.0, reduction_override="sum")
    with pytest.raises(ValueError, match="'average'"):
        loss(*batch, reduction_override="average")


@each
def test_other_classes_get_no_gradient(case):
    logits, masks, labels = make_masks()
    slope = gradient_of(case.build()(logits, masks, labels), logits)
    own = torch.zeros_like(slope, dtype=torch.bool)
    own[torch.arange(4), labels] = True
    assert (slope[own] != 0).all()
    assert (slope[~own] == 0).all()


@each
def test_gradcheck(case):
    loss = case.build(reduction="none")
    logits, masks, labels = make_masks()
    assert gradcheck(lambda z: loss(z, masks, labels), (logits,))


@each
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_no_instances(case, reduction):
    logits, masks, labels = make_masks(labels=())
    value = case.build(reduction=reduction)(logits, masks, labels)
    assert value.sum() == 0
    assert gradient_of(value, logits).shape == logits.shape


@each
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(case, dtype):
    logits, masks, labels = make_masks(dtype=dtype)
    value = case.build()(logits, masks, labels)
    wanted = case.build()(logits.double(), masks.double(), labels)
    torch.testing.assert_close(value, wanted, rtol=1e-5, atol=1e-6, check_dtype=False)
    with torch.no_grad():
        logits[:] = 65504 * torch.sign(logits)
    value = case.build()(logits, masks, labels)
    assert value.isfinite()
    assert gradient_of(value, logits).isfinite().all()


@each
def test_shapes_that_do_not_fit_are_named(case):
    loss = case.build()
    logits, masks, labels = make_masks()
    for wrong in ((logits, masks, None), (logits, masks[:2], labels)):
        with pytest.raises(ValueError, match=r"\(4, 3, 2, 3\)"):
            loss(*wrong)
    with pytest.raises(ValueError, match=r"\(4, 3, 2, 3\).*\(3,\)"):
        loss(logits, masks, labels[:3])


@each
def test_a_class_agnostic_head(case):
    logits, masks, _ = make_masks()
    batch = logits[:, :1], masks, torch.zeros(4, dtype=torch.long)
    weighted = case.difficulty or "class_weight" in case.arguments
    loss = case.build()
    if weighted:
        with pytest.raises(ValueError, match="class_agnostic"):
            loss(*batch)
    else:
        assert loss(*batch).isfinite()


@each
def test_one_graph(case):
    loss = case.build()
    traced = torch.compile(loss, backend="aot_eager", fullgraph=True)
    batch = make_masks()
    value, wanted = traced(*batch), loss(*batch)
    torch.testing.assert_close(value, wanted)
    torch.testing.assert_close(
        gradient_of(value, batch[0]), gradient_of(wanted, batch[0])
    )
