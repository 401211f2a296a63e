"""Second derivatives are right, or an error; and so are gradients by other inputs."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch.autograd import forward_ad, gradgradcheck

from imb_det.losses import compilation

from .batches import (
    channels,
    forms_of_labels,
    gradient_of,
    make_batch,
    soft_targets,
    warm,
)
from .box_cases import BOX_CASES, make_boxes, warm_box_loss
from .cases import of_activation, one_of_each_kernel, one_of_each_loss
from .heads import RetinaHead, RoIHead
from .test_loss_compiled import GRAPH
from .test_mask_loss_contract import make_masks

each_loss = pytest.mark.parametrize("case", one_of_each_loss(), ids=str)


def of_a_penalty(function, x):
    """What a gradient penalty asks for."""
    (slope,) = torch.autograd.grad(function(x), x, create_graph=True)
    return torch.autograd.grad(slope.square().sum() + x.sum(), x)


def of_backward(function, x):
    leaf = x.detach().requires_grad_()
    function(leaf).backward(create_graph=True)
    return torch.autograd.grad(leaf.grad.square().sum() + leaf.sum(), leaf)


def of_two_transforms(function, x):
    first = torch.func.grad(function)
    return torch.func.grad(lambda z: first(z).square().sum())(x.detach())


def of_forward_mode(function, x):
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x.detach(), torch.ones_like(x))
        return forward_ad.unpack_dual(function(dual)).tangent


def some_every_day():
    """One case every day, the others once a week: a trace takes long."""
    return [
        pytest.param(case, marks=() if case.loss == "FocalLoss" else pytest.mark.weekly)
        for case in one_of_each_loss()
    ]


WAYS = (
    of_a_penalty,
    of_backward,
    of_two_transforms,
    of_forward_mode,
    lambda function, x: torch.autograd.functional.hessian(function, x.detach()),
    lambda function, x: torch.func.hessian(function)(x.detach()),
    lambda function, x: torch.autograd.functional.jvp(function, x.detach(), x.detach()),
)


def assert_refused(function, x, ways=WAYS):
    """No way around the refusal; and the first derivative is there."""
    for way in ways:
        with pytest.raises((RuntimeError, NotImplementedError)):
            way(function, x)
    with pytest.raises(RuntimeError, match="losses of imb_det have no second deriv"):
        of_a_penalty(function, x)
    assert gradient_of(function(x), x).abs().sum() > 0


@each_loss
def test_of_logits_are_an_error(case):
    loss, _ = warm(case)
    logits, labels = make_batch(case)
    for label in forms_of_labels(case, labels, soft_targets(case)):
        assert_refused(lambda z, y=label: loss(z, y, avg_factor=2.0), logits)


@pytest.mark.parametrize("case", one_of_each_kernel(), ids=str)
def test_in_chunks_too(case, small_chunks):
    loss, _ = warm(case)
    rows = 2 * small_chunks // channels(case)
    logits = torch.zeros(rows, channels(case), requires_grad=True)
    assert_refused(lambda z: loss(z, torch.zeros(rows).long()), logits, [of_backward])


@pytest.mark.parametrize("case", some_every_day(), ids=str)
def test_of_compiled_kernels_are_an_error(case, monkeypatch):
    fast = SimpleNamespace(**vars(torch))
    fast.compile = lambda function, **_: torch.compile(function, backend="eager")
    monkeypatch.setattr(compilation, "torch", fast)
    compilation.compiled.cache_clear()
    loss = warm(case, compiled=True)[0]
    logits, labels = make_batch(case)
    assert_refused(lambda z: loss(z, labels), logits, [of_backward])
    compilation.compiled.cache_clear()


@pytest.mark.parametrize("case", some_every_day(), ids=str)
def test_of_one_graph_are_an_error(case):
    torch._dynamo.reset()
    traced = torch.compile(copy.deepcopy(warm(case)[0]), **GRAPH)
    logits, labels = make_batch(case)
    with pytest.raises(RuntimeError, match=r"create_graph=False|double backward"):
        of_a_penalty(lambda z: traced(z, labels), logits)


@pytest.mark.parametrize("head_type", [RoIHead, RetinaHead])
def test_of_features_are_an_error(head_type):
    case = of_activation("softmax" if head_type is RoIHead else "sigmoid")[0]
    head = head_type(case.config)
    value = head.losses()["loss_cls"]
    total = sum(value) if isinstance(value, list) else value
    weights = [p for n, p in head.head.named_parameters() if "cls" in n]
    with pytest.raises(RuntimeError, match="no second derivatives"):
        torch.autograd.grad(total, weights, create_graph=True)


@pytest.mark.parametrize("case", BOX_CASES, ids=str)
def test_of_boxes_are_right(case):
    loss = warm_box_loss(case, reduction="none")[0].eval()
    pred, target, weight = make_boxes(rows=3)
    assert gradgradcheck(lambda x: loss(x, target, weight), (pred,))


@pytest.mark.parametrize("case", of_activation("mask"), ids=str)
def test_of_masks_are_an_error(case):
    loss = case.build(reduction="none")
    logits, masks, labels = make_masks()
    assert_refused(lambda z: loss(z, masks, labels).sum(), logits, [of_backward])
    # Nor is a gradient by anything else lost in silence.
    masks = (masks * 0.8 + 0.1).requires_grad_()
    with pytest.raises(ValueError, match="`target` wants a gradient"):
        loss(logits, masks, labels)


@each_loss
def test_gradients_by_targets_and_weights_are_an_error(case):
    loss, _ = warm(case)
    logits, labels = make_batch(case)
    weight = torch.ones(len(labels), dtype=torch.float64, requires_grad=True)
    with pytest.raises(ValueError, match=r"weight` wants a gradient.*weight.detach"):
        loss(logits, labels, weight)
    for targets in forms_of_labels(case, labels, soft_targets(case))[1:]:
        targets.requires_grad_()
        with pytest.raises(ValueError, match=r"label` wants a gradient.*label.detach"):
            loss(logits, targets)
        with torch.no_grad():
            assert loss(logits, targets, weight).isfinite()
    # By what divides there is one: the division is torch's.
    if not loss.own_normaliser:
        number = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
        value = loss(logits, labels, avg_factor=number)
        torch.testing.assert_close(gradient_of(value, number), -value / 2)
