"""Sizes of gradients against those that autograd leaves at the outputs of a head."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub

from imb_det.hooks import GradientHook
from tests.test_heads.guided_cases import CASES, BoxCase

SIZES = ("fg", "bg", "box", "ratio")


def make_runner(head, scale=None, name="bbox_head"):
    model = torch.nn.Module()
    setattr(model, name, head)
    hub = MessageHub(f"gradients_{id(head)}")
    wrapper = SimpleNamespace()
    if scale is not None:
        wrapper.loss_scaler = SimpleNamespace(get_scale=lambda: scale)
    return SimpleNamespace(model=model, message_hub=hub, optim_wrapper=wrapper)


def logged(runner, name="bbox_head"):
    scalars = runner.message_hub.log_scalars
    return {
        size: scalars[f"train/{name}/grad_norm_{size}"].current()
        for size in SIZES
        if f"train/{name}/grad_norm_{size}" in scalars
    }


def step(case, head, names, factor=1.0):
    """One step; return sizes at the classifier's outputs: of foreground, and all."""
    labels = []
    handle = head.loss_cls.register_forward_pre_hook(
        lambda _, args, kwargs: labels.append(args[1]), with_kwargs=True
    )
    inputs = case.inputs(head, names)
    losses = case.losses(head, inputs, names)
    handle.remove()
    loss = 0
    for key, value in losses.items():
        if "loss" in key:
            loss = loss + (sum(value) if isinstance(value, list) else value)
    (factor * loss).backward()
    grads = [x.grad.abs() for x in case.scores(inputs)]
    if not isinstance(case, BoxCase):
        columns = head.cls_out_channels
        grads = [g.permute(0, 2, 3, 1).reshape(-1, columns) for g in grads]
    grads = torch.cat(grads)
    labels = torch.cat([x[0] if isinstance(x, tuple) else x for x in labels])
    if case.kind == "FCOSHead" or isinstance(case, BoxCase):
        positive = labels < head.num_classes
    else:  # level by level, images within
        positive = labels.reshape(-1) < head.num_classes
    foreground = grads[positive & (labels >= 0)].sum()
    return foreground.item(), grads.sum().item(), [x.grad for x in inputs[1]]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_equals_autograd(case):
    head = case.build()
    runner, hook = make_runner(head), GradientHook()
    hook.before_train(runner)
    for names in (["two", "one"], ["empty"]):
        fg, both, boxes = step(case, head, names)
        hook.after_train_iter(runner, 0)
        found = logged(runner)
        assert found["fg"] == pytest.approx(fg, rel=1e-5)
        assert found["bg"] == pytest.approx(both - fg, rel=1e-4)
        if names == ["empty"]:
            assert (found["fg"], found["box"]) == (0, 0)
        else:
            assert found["fg"] > 0
            assert found["ratio"] == pytest.approx(both / found["box"], rel=1e-5)
            # Of anchors, the box loss is given the very outputs.
            is_decoded = getattr(head, "reg_decoded_bbox", True)
            if not is_decoded and case.kind in (
                "RetinaHead",
                "RPNHead",
                "ConvFCBBoxHead",
            ):
                size = sum(x.abs().sum().item() for x in boxes if x is not None)
                assert found["box"] == pytest.approx(size, rel=1e-5)
    hook.after_train(runner)
    assert not head.loss_cls._forward_pre_hooks
    assert not head.loss_bbox._forward_pre_hooks


def test_a_scaled_loss_counts_as_it_is():
    case = CASES["RetinaHead"]
    sizes = []
    for scale in (None, 1024.0):
        head = case.build()
        runner, hook = make_runner(head, scale), GradientHook()
        hook.before_train(runner)
        hook.before_train_iter(runner, 0)
        step(case, head, ["two"], factor=scale or 1.0)
        if scale is not None:  # the step of the optimizer sets the next one
            runner.optim_wrapper.loss_scaler.get_scale = lambda: 2048.0
        hook.after_train_iter(runner, 0)
        sizes.append(logged(runner))
    assert sizes[0] == pytest.approx(sizes[1], rel=1e-5)


def test_predictions_without_rows_count_nothing():
    head = CASES["RetinaHead"].build()
    runner, hook = make_runner(head), GradientHook()
    hook.before_train(runner)
    boxes = torch.zeros(0, 4, requires_grad=True)
    scores = torch.zeros(0, 3, requires_grad=True)
    loss = head.loss_bbox(boxes, torch.zeros(0, 4))
    loss = loss + head.loss_cls(scores, torch.zeros(0, dtype=torch.long)).sum()
    loss.backward()
    hook.after_train_iter(runner, 0)
    assert logged(runner) == dict(fg=0, bg=0, box=0)


def test_a_head_that_classifies_otherwise_is_left_out():
    head = CASES["RetinaHead"].build()
    runner, hook = make_runner(head), GradientHook()
    hook.before_train(runner)
    boxes = torch.ones(2, 4, requires_grad=True)
    head.loss_bbox(boxes, torch.zeros(2, 4)).backward()
    hook.after_train_iter(runner, 0)
    assert logged(runner) == {}


@pytest.mark.parametrize("broken", [float("inf"), float("nan")])
def test_an_iteration_that_is_not_finite_is_left_out(broken):
    case = CASES["RetinaHead"]
    head = case.build()
    runner, hook = make_runner(head), GradientHook()
    hook.before_train(runner)
    step(case, head, ["two"])
    hook.after_train_iter(runner, 0)
    before = logged(runner)
    step(case, head, ["two"], factor=broken)
    hook.after_train_iter(runner, 1)
    assert logged(runner) == before
    step(case, head, ["two"], factor=2.0)
    hook.after_train_iter(runner, 2)
    assert logged(runner)["fg"] == pytest.approx(2 * before["fg"], rel=1e-5)


def test_comparing_losses_leaves_no_trace():
    case = CASES["Shared2FCBBoxHead"]
    head = case.build(case.kind)
    runner, hook = make_runner(head), GradientHook()
    hook.before_train(runner)
    with torch.no_grad():  # as hard example mining does
        case.losses(head, case.inputs(head, ["two"]), ["two"])
    fg, both, _ = step(case, head, ["two"])
    hook.after_train_iter(runner, 0)
    assert logged(runner)["fg"] == pytest.approx(fg, rel=1e-5)
    assert logged(runner)["bg"] == pytest.approx(both - fg, rel=1e-5)


def test_a_model_without_classification():
    runner = make_runner(torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"no part of the model.*Module"):
        GradientHook().before_train(runner)
