"""The bias that a classifier starts with, where its loss names one."""

import pytest
import torch

from imb_det.losses import SigmoidLink, SigmoidWithObjectnessLink
from imb_det.prior.start_bias import set_start_biases
from imb_det.registry import MODELS
from tests import toys
from tests.contracts.roi_heads import RoIHead
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
