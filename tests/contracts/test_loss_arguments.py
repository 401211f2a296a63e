"""Numbers that cannot be right: named on a CPU, a loss that is none on a GPU."""

import math

import numpy as np
import pytest
import torch

from .batches import (
    channels,
    forms_of_labels,
    gradient_of,
    make_batch,
    soft_targets,
    warm,
)
from .box_cases import BOX_CASES, make_boxes, warm_box_loss
from .cases import NUM_CLASSES, of_activation, one_of_each_loss
from .overlap_cases import OVERLAP_CASES, make_points
from .test_mask_loss_contract import make_masks

#: What is tested here all forms of a loss have in common.
CLASSES = one_of_each_loss()
MASKS = of_activation("mask")

each = pytest.mark.parametrize("case", CLASSES, ids=str)
each_soft = pytest.mark.parametrize(
    "case", [case for case in CLASSES if not case.needs_classes], ids=str
)


def loss_and_batch(case):
    """A loss of any kind with what it is called with."""
    if case in BOX_CASES:
        return warm_box_loss(case)[0], make_boxes()
    if case in MASKS:
        return case.build(), make_masks()
    if case in OVERLAP_CASES:
        return case.build(), make_points()
    return warm(case)[0], make_batch(case)


every = pytest.mark.parametrize(
    "case", [*CLASSES, *MASKS, *BOX_CASES, *OVERLAP_CASES], ids=str
)


@every
def test_avg_factor_is_one_number(case):
    loss, batch = loss_and_batch(case)
    for wrong in ("3", [1.0, 2.0], True, np.ones(1)):
        with pytest.raises(TypeError, match=r"`avg_factor` must be a number, got"):
            loss(*batch, avg_factor=wrong)
    for wrong in (torch.ones(2), torch.ones(0), torch.tensor(True)):
        with pytest.raises(ValueError, match=r"`avg_factor` must be one number, got"):
            loss(*batch, avg_factor=wrong)
    for wrong in (-1, -0.5, math.nan, math.inf, torch.tensor([-1.0]), torch.tensor(-2)):
        with pytest.raises(ValueError, match=r"finite and at least 0, got -?\w"):
            loss(*batch, avg_factor=wrong)


@every
@pytest.mark.parametrize(
    "number", [2, np.float32(2), np.int64(2), torch.tensor(2), torch.tensor([2.0])]
)
def test_any_number_is_an_avg_factor(case, number):
    loss, batch = loss_and_batch(case)
    wanted = loss_and_batch(case)[0](*batch, avg_factor=2.0)
    found = loss(*batch, avg_factor=number)
    assert found.shape == ()
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=0)


@every
def test_avg_factor_of_nothing_divides_as_in_mmdet(case):
    loss, batch = loss_and_batch(case)
    if not getattr(loss, "own_normaliser", False):
        total = loss(*batch, reduction_override="sum")
        eps = torch.finfo(torch.float32).eps
        torch.testing.assert_close(loss(*batch, avg_factor=0), total / eps)


@every
def test_an_avg_factor_of_a_gpu_is_not_looked_at(case, elsewhere):
    loss, batch = loss_and_batch(case)
    for wrong in (-1.0, math.nan, math.inf):
        value = loss(*batch, avg_factor=torch.tensor(wrong))
        assert value.isnan() != getattr(loss, "own_normaliser", False)


@every
def test_what_a_loss_has_no_use_for_is_named(case):
    loss, batch = loss_and_batch(case)
    text = r"\['pos_inds', 'activated'\], which it has no use for; .* a loss of mmdet$"
    with pytest.raises(TypeError, match=text):
        loss(*batch, pos_inds=None, activated=True)


@each_soft
@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf], ids=str)
def test_targets_are_shares(case, value, monkeypatch, request):
    logits, _ = make_batch(case)
    targets = soft_targets(case)
    targets[2, 1] = value
    weight = torch.ones(len(targets))
    text = rf"{case.loss}: targets .*\[0, 1\], `label` has {value:g} in row 2, column 1"
    for rest in ((), (weight,)):
        with pytest.raises(ValueError, match=text):
            warm(case)[0](logits, targets, *rest)
    weight[2] = 0
    value = warm(case)[0](logits, targets, weight)
    assert value.isfinite()
    request.getfixturevalue("elsewhere")
    again = warm(case)[0](logits, targets, weight)
    torch.testing.assert_close(again, value)
    torch.testing.assert_close(gradient_of(again, logits), gradient_of(value, logits))
    assert warm(case)[0](logits, targets).isnan()


@each_soft
def test_targets_may_be_rounded(case):
    loss, _ = warm(case)
    logits, _ = make_batch(case)
    targets = soft_targets(case).clamp(0, 1) * 1.000001
    targets[0, 0] = -1e-6
    assert loss(logits, targets).isfinite()


@each
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.half])
def test_targets_and_weights_of_any_type(case, dtype):
    logits, labels = make_batch(case)
    for targets in forms_of_labels(case, labels):
        weight = (labels > 0).float()
        wanted = warm(case)[0](logits, targets, weight)
        if targets.dim() == 2:
            targets = targets.to(dtype)
        assert torch.equal(warm(case)[0](logits, targets, weight.to(dtype)), wanted)


@each
@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf], ids=str)
def test_weights_are_not_below_zero(case, value, request):
    logits, labels = make_batch(case)
    shapes = [(7,), (7, channels(case))][: 1 + case.sigmoid]
    for shape in shapes:
        weight = torch.ones(shape)
        weight[4] = value
        text = rf"{case.loss}: weights .*at least 0, `weight` has {value:g} in row 4"
        with pytest.raises(ValueError, match=text):
            warm(case)[0](logits, labels, weight)
        ignored = labels.clone()
        ignored[4] = -1
        assert warm(case)[0](logits, ignored, weight).isfinite()
    request.getfixturevalue("elsewhere")
    for shape in shapes:
        weight = torch.ones(shape)
        weight[4] = value
        assert not warm(case)[0](logits, labels, weight).isfinite()
        assert warm(case)[0](logits, ignored, weight).isfinite()


@each
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_a_label_that_is_no_class_is_no_background_on_a_gpu(case, reduction, elsewhere):
    logits, labels = make_batch(case)
    labels[3] = NUM_CLASSES + 1
    value = warm(case)[0](logits, labels, reduction_override=reduction)
    if reduction == "mean":
        assert value.isnan()
    else:
        assert value.isnan().sum() == value[3].isnan().sum() == value[3].numel()


@pytest.mark.parametrize("case", MASKS, ids=str)
@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan], ids=str)
def test_masks_are_shares(case, value, request):
    logits, masks, labels = make_masks()
    masks[1, 0, 2] = value
    with pytest.raises(ValueError, match=rf"targets .*`target` has {value:g} in row 1"):
        case.build()(logits, masks, labels)
    request.getfixturevalue("elsewhere")
    assert case.build()(logits, masks, labels).isnan()


@pytest.mark.parametrize("case", MASKS, ids=str)
@pytest.mark.parametrize("label", [-1, NUM_CLASSES])
def test_labels_of_masks_are_classes(case, label, request):
    logits, masks, labels = make_masks()
    labels[2] = label
    with pytest.raises(
        ValueError, match=rf"labels must be classes 0 to 2, got {label}"
    ):
        case.build()(logits, masks, labels)
    request.getfixturevalue("elsewhere")
    rows = case.build()(logits, masks, labels, reduction_override="none")
    assert rows.isnan().tolist() == [False, False, True, False]
