"""The bias that a classifier starts with, where its loss names one."""

import copy

import pytest
import torch

from imb_det.losses import SigmoidLink, SigmoidWithObjectnessLink
from imb_det.losses.links import RARE_BIAS
from imb_det.prior.start_bias import set_start_biases
from imb_det.registry import MODELS
from tests import toys
from tests.contracts.cases import of_activation
from tests.contracts.heads import DETRHead, FCOSHead, RetinaHead, RoIHead
from tests.contracts.mmdet_heads import build_dense, query_losses
from tests.contracts.support_matrix import fits
from tests.test_losses.test_losses_in_training import run  # noqa: F401

CE = dict(type="imb_det.CrossEntropyLoss", use_sigmoid=True)


class LowLink(SigmoidLink):
    start_bias = -4.5


@pytest.fixture
def low(monkeypatch):
    """Let every sigmoid loss start low."""
    monkeypatch.setattr("imb_det.losses.base.SigmoidLink", LowLink)


@pytest.mark.usefixtures("low")
def test_a_training_starts_with_it_and_resumes_without(run):  # noqa: F811
    runner = run("a", 1, **CE)()
    seen = []
    before = runner.train_loop.run_iter

    def run_iter(*args):
        seen.append(runner.model.bbox_head.retina_cls.bias.detach().clone())
        return before(*args)

    runner.train_loop.run_iter = run_iter
    trained = runner.train().bbox_head.retina_cls.bias.detach().clone()
    assert (seen[0] == -4.5).all()
    assert not (trained == -4.5).any()
    again = run("a", 2, **CE)(resume=True)
    again.call_hook("before_run")
    again.load_or_resume()
    again.call_hook("before_train")
    assert torch.equal(again.model.bbox_head.retina_cls.bias, trained)


@pytest.mark.usefixtures("low")
def test_a_bias_that_was_loaded_stays():
    config = toys.retinanet_config()
    config.bbox_head.loss_cls = CE
    model = toys.build_model(config)
    bias = model.bbox_head.retina_cls.bias
    before = bias.detach().clone()
    set_start_biases(model, {"bbox_head.retina_cls.bias": bias.shape})
    assert torch.equal(bias, before)
    # Of another number of classes: it was not loaded.
    set_start_biases(model, {"bbox_head.retina_cls.bias": torch.Size([7])})
    assert (bias == -4.5).all()


def test_objectness_has_it_too():
    head = RoIHead(CE).head
    head.loss_cls.link = SigmoidWithObjectnessLink()
    set_start_biases(torch.nn.ModuleDict({"bbox_head": head}), {})
    p = head.fc_cls.bias.sigmoid()
    torch.testing.assert_close(p, torch.full_like(p, 0.001), rtol=1e-4, atol=0)


HEADS = dict(RoIHead=RoIHead, RetinaHead=RetinaHead, FCOSHead=FCOSHead, DETR=DETRHead)


def starting():
    """A case of each loss that starts with a bias, with the heads that can have it."""
    cases = {
        case.loss: case
        for case in of_activation("softmax", "sigmoid")
        if MODELS.build(case.config).link.start_bias is not None
    }
    for case in cases.values():
        for name, head in HEADS.items():
            if fits(case, "RoI head" if name == "RoIHead" else name):
                yield pytest.param(case, head, id=f"{case.loss}-{name}")


@pytest.mark.parametrize(("case", "kind"), starting())
def test_heads_start_with_the_bias_of_their_loss(case, kind):
    head = kind(case.config).head
    model = torch.nn.ModuleDict({"bbox_head": head})
    set_start_biases(model, {})
    (layer,) = (
        getattr(head, name)
        for name in ("fc_cls", "retina_cls", "conv_cls")
        if hasattr(head, name)
    )
    wanted = head.loss_cls.link.start_bias
    torch.testing.assert_close(layer.bias, torch.full_like(layer.bias, wanted))
    # Objectness and the like as well, but nothing else of the head.
    assert sum((p == torch.tensor(wanted)).all() for p in head.parameters()) == 1


@pytest.mark.parametrize(
    ("name", "branches"),
    [("DeformableDETRHead", "cls_branches"), ("YOLOXHead", "multi_level_conv_cls")],
)
def test_branches_of_levels_and_decoder_layers_have_it_too(name, branches):
    loss = dict(type="imb_det.EQLLoss", use_sigmoid=True)
    if name == "YOLOXHead":
        head = build_dense(name, loss_cls=loss)
    else:
        head, _ = query_losses("DeformableDETRHead", dict(loss, tail=[0, 0, 1]))
    model = torch.nn.ModuleDict({"bbox_head": head})
    loaded = f"bbox_head.{branches}.1.bias"
    layers = getattr(head, branches)
    layers[1] = copy.deepcopy(layers[1])  # of its own, also where they are shared
    before = layers[1].bias.detach().clone()
    set_start_biases(model, {loaded: before.shape})
    for number, layer in enumerate(layers):
        wanted = before if number == 1 else torch.full_like(before, RARE_BIAS)
        torch.testing.assert_close(layer.bias, wanted)


def test_other_losses_keep_the_bias_of_their_head():
    config = toys.retinanet_config()
    config.bbox_head.loss_cls = CE
    model = toys.build_model(config)
    before = model.bbox_head.retina_cls.bias.detach().clone()
    set_start_biases(model, {})
    assert torch.equal(model.bbox_head.retina_cls.bias, before)


def test_a_head_without_a_known_layer_is_named(caplog, monkeypatch):
    said = []
    monkeypatch.setattr(
        "imb_det.prior.start_bias.print_log", lambda text, *_: said.append(text)
    )
    head = torch.nn.Module()
    head.loss_cls = MODELS.build(CE)
    head.loss_cls.link = LowLink()
    set_start_biases(torch.nn.ModuleDict({"bbox_head": head}), {})
    assert "`bbox_head` (Module) has no classification layer" in said[0]
