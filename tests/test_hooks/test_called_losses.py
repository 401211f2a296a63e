"""A loss that its head never calls is told of, once, and only then."""

import pytest
import torch
from torch import nn

from imb_det.hooks import called_losses
from imb_det.hooks.called_losses import CalledLosses
from imb_det.registry import MODELS

PLAIN = dict(type="imb_det.CrossEntropyLoss", use_sigmoid=True)


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        around = dict(type="imb_det.LogitClipLoss", loss=PLAIN)
        self.loss_cls = MODELS.build(around)
        self.loss_later = MODELS.build(PLAIN)


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(
        called_losses, "print_log", lambda text, **how: lines.append(text)
    )
    return lines


def step(loss):
    loss(torch.zeros(2, 3, requires_grad=True), torch.tensor([0, 3]))


def watched(head):
    places = {id(part): f"`{name}`" for name, part in head.named_modules()}
    return CalledLosses(head, places)


def test_losses_that_are_called_are_not_told_of(said):
    head = Head()
    watch = watched(head)
    for number in range(30):
        step(head.loss_cls)
        if number == 5:
            step(head.loss_later)
        watch.iteration_is_over()
    assert said == []
    assert not head.loss_cls._forward_pre_hooks


def test_a_teacher_that_is_not_trained_calls_none(said):
    model = nn.ModuleDict(dict(student=Head(), teacher=Head()))
    for head in model.values():
        head.loss_later = None
        head.fc_cls = nn.Linear(2, 3)
    model["teacher"].requires_grad_(False)
    watch = watched(model)
    for _ in range(30):
        step(model["student"].loss_cls)
        watch.iteration_is_over()
    assert said == []


def test_a_loss_that_is_not_called_is_told_of_once(said):
    head = Head()
    watch = watched(head)
    for _ in range(50):
        step(head.loss_cls)
        watch.iteration_is_over()
    (line,) = said
    assert line.startswith(
        "`loss_later` (CrossEntropyLoss) was not called in the first"
    )
    assert not head.loss_later._forward_pre_hooks
