"""Losses around losses: what they change, and all that they leave as it is."""

import math

import pytest
import torch
from torch import nn

from imb_det.checks import check_activations
from imb_det.core import CheckContext
from imb_det.losses import (
    ABSGDLoss,
    CALSLoss,
    CrossEntropyLoss,
    LabelAwareSmoothingLoss,
    LogitClipLoss,
    flush_statistics,
)
from imb_det.losses.logit_clip_loss import ClippedLink, clip_logits
from imb_det.prior.start_bias import set_start_biases
from imb_det.registry import MODELS
from tests.contracts.batches import gradient_of
from tests.contracts.heads import DETRHead, RetinaHead
from tests.wrapped_losses import CE, EQLV2, FOCAL, SEESAW, batch, started

WRAPPERS = (LogitClipLoss, ABSGDLoss, CALSLoss, LabelAwareSmoothingLoss)
#: Those that take any loss.
OF_ANY = (LogitClipLoss, ABSGDLoss)

each = pytest.mark.parametrize("wrapper", WRAPPERS)
of_any = pytest.mark.parametrize("wrapper", OF_ANY)


# What a wrapper exposes.


@of_any
@pytest.mark.parametrize("inner", [CE, SEESAW, EQLV2, FOCAL], ids=lambda c: c["type"])
def test_heads_find_what_the_loss_inside_has(wrapper, inner):
    plain = MODELS.build(inner)
    loss = wrapper({**inner, "loss_weight": 2.0, "reduction": "sum"})
    assert (loss.loss_weight, loss.reduction) == (2.0, "sum")
    assert loss.use_sigmoid is plain.use_sigmoid
    assert loss.custom_cls_channels
    assert loss.custom_activation
    assert loss.custom_accuracy
    assert loss.get_cls_channels(3) == plain.get_cls_channels(3)
    assert loss.loss.in_roi_head
    assert loss.link.start_bias == plain.link.start_bias
    logits, labels = batch(plain, scale=0.1)  # too short to be clipped
    assert torch.equal(loss.get_activation(logits), plain.get_activation(logits))
    assert loss.get_accuracy(logits, labels) == plain.get_accuracy(logits, labels)


@each
def test_shared_arguments_stand_in_either_place(wrapper):
    outside = wrapper(CE, use_sigmoid=False, loss_weight=0.5, reduction="sum")
    inside = wrapper(dict(CE, use_sigmoid=False, loss_weight=0.5, reduction="sum"))
    built = wrapper(CrossEntropyLoss(loss_weight=0.5, reduction="sum"))
    for loss in (outside, inside, built):
        assert (loss.use_sigmoid, loss.loss_weight, loss.reduction) == (
            False,
            0.5,
            "sum",
        )
        assert loss.loss.loss_weight == 0.5
    for outer, inner in (
        (dict(loss_weight=0.5), dict(CE, loss_weight=1.0)),
        (dict(use_sigmoid=False), FOCAL),
        (dict(reduction="mean"), CrossEntropyLoss(reduction="sum")),
    ):
        (key,) = outer
        with pytest.raises(ValueError, match=rf"`{key}=.*inside has.*`{key}` once"):
            wrapper(inner, **outer)
    with pytest.raises(ValueError, match=r"'none', 'mean', 'sum'.*'most'"):
        wrapper(CE, reduction="most")


@each
@pytest.mark.parametrize(
    ("inner", "named"),
    [
        (dict(type="mmdet.FocalLoss"), "FocalLoss of mmdet"),
        (dict(type="imb_det.GHMRLoss"), "GHMRLoss of imb_det"),
        (dict(type="imb_det.CrossEntropyLoss", use_mask=True), "MaskCrossEntropyLoss"),
        (nn.L1Loss(), "L1Loss"),
        (dict(use_sigmoid=True), "without `type`"),
        (None, "NoneType"),
    ],
    ids=str,
)
def test_what_is_no_loss_of_the_library_is_named(wrapper, inner, named):
    text = rf"{wrapper.__name__}: `loss` must be .*imb_det.CrossEntropyLoss.*{named}"
    with pytest.raises(TypeError, match=text):
        wrapper(inner)


@each
def test_wrappers_can_be_stacked(wrapper):
    config = dict(type=f"imb_det.{wrapper.__name__}", loss=CE)
    stacked = dict(
        type="imb_det.ABSGDLoss",
        loss=dict(type="imb_det.LogitClipLoss", loss=config),
        use_sigmoid=False,
        loss_weight=2.0,
    )
    loss = started(MODELS.build(stacked))
    assert isinstance(loss.loss.loss, wrapper)
    assert loss.loss.loss.loss.loss_weight == 2.0
    logits, labels = batch(loss)
    assert gradient_of(loss(logits, labels), logits).isfinite().all()
    assert isinstance(loss.link, ClippedLink)
    torch.testing.assert_close(
        loss.get_activation(logits)[:, :3],
        clip_logits(logits, math.log(4) + 4).softmax(1)[:, :3],
    )


def test_keys_of_checkpoints_are_those_of_the_loss_inside():
    plain = set(MODELS.build(SEESAW).state_dict())
    clip = dict(type="imb_det.LogitClipLoss", loss=SEESAW)
    loss = ABSGDLoss(clip)
    below = {key for key in loss.state_dict() if key.startswith("loss.loss.")}
    assert below == {f"loss.loss.{key}" for key in plain}
    own = set(loss.state_dict()) - below
    assert own == {f"normaliser.{name}" for name in ("mean", "steps", "world_size")}
    # Not twice, by way of the link.
    ldam = dict(type="imb_det.LDAMLoss", margin=[0.5, 0.2, 0.1])
    assert set(LogitClipLoss(ldam).state_dict()) == {
        f"loss.{key}" for key in MODELS.build(ldam).state_dict()
    }


@of_any
@pytest.mark.parametrize("inner", [SEESAW, EQLV2], ids=lambda c: c["type"])
def test_statistics_of_the_loss_inside_move(wrapper, inner):
    loss, plain = started(wrapper(inner)), started(MODELS.build(inner))
    logits, labels = batch(plain, scale=0.1)
    for _ in range(2):
        for each in (loss, plain):
            each(logits, labels, avg_factor=2.0)
            flush_statistics(each)
    inside = loss.loss.state_dict()
    assert inside.keys() == plain.state_dict().keys()
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(inside[name], value)
    assert any(key.endswith("steps") and v == 2 for key, v in inside.items())


def test_a_normaliser_of_its_own_is_kept():
    ghm = dict(type="imb_det.GHMCLoss", use_sigmoid=True, bins=4)
    plain, loss = started(MODELS.build(ghm)), started(LogitClipLoss(ghm, tau=1e3))
    logits, labels = batch(plain)
    assert loss.own_normaliser
    for _ in range(2):
        values = [each(logits, labels, avg_factor=7.0) for each in (loss, plain)]
        torch.testing.assert_close(*values)
        for each in (loss, plain):
            flush_statistics(each)


# What heads and hooks make of it.


def test_a_dense_head_reads_the_activation_from_the_wrapper():
    def findings(config):
        head = RetinaHead(config).head
        return list(check_activations(CheckContext(nn.ModuleDict({"head": head}))))

    config = dict(type="imb_det.ABSGDLoss", loss=FOCAL)
    (found,) = findings(config)
    assert "Write `use_sigmoid=True` into `loss_cls`" in found.remedy
    assert findings(dict(config, use_sigmoid=True)) == []


def test_a_head_that_asks_for_no_activation_cannot_clip():
    def findings(name):
        config = dict(type=f"imb_det.{name}", loss=FOCAL, use_sigmoid=True)
        head = nn.ModuleDict({"bbox_head": DETRHead(config).head})
        return list(check_activations(CheckContext(head)))

    assert findings("ABSGDLoss") == []
    (found,) = findings("LogitClipLoss")
    assert "trains ClippedLink" in found.evidence


@of_any
def test_the_classifier_starts_at_the_bias_of_the_loss_inside(wrapper):
    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc_cls = nn.Linear(2, 4)
            self.loss_cls = wrapper(EQLV2)

    model = nn.ModuleDict({"bbox_head": Head()})
    set_start_biases(model, {})
    bias = model.bbox_head.fc_cls.bias
    torch.testing.assert_close(bias, torch.full((4,), math.log(0.001 / 0.999)))
