"""Losses in a short training: what hooks give them, and what they say without."""

import functools

import pytest
import torch
from mmdet.registry import MODELS
from torch import nn

from imb_det.checks import check_activations
from imb_det.core import CheckContext, raise_findings
from imb_det.losses import (
    GumbelLink,
    SigmoidWithObjectnessLink,
    SoftmaxWithObjectnessLink,
)
from tests import toys
from tests.contracts.heads import DETRHead
from tests.tiny_sets import write_voc
from tests.toy_runner import (
    BOTH_HOOKS,
    IMAGES,
    dataset_config,
    make_runner,
)

pytestmark = pytest.mark.usefixtures("one_thread")


def refuse_activations(model):
    raise_findings(check_activations(CheckContext(model)))


GHM = dict(type="imb_det.GHMCLoss", use_sigmoid=True, bins=5)
GHM_BOXES = dict(type="imb_det.GHMRLoss", bins=4)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Make a runner of a toy RetinaNet with the given losses."""
    voc = dataset_config(write_voc(tmp_path / "voc", IMAGES))
    plain = toys.retinanet_config

    def make(name, max_epochs, hooks=BOTH_HOOKS, loss_bbox=None, **loss_cls):
        def config(*args, **kwargs):
            model = plain(*args, **kwargs)
            model.bbox_head.loss_cls = loss_cls
            if loss_bbox is not None:
                model.bbox_head.loss_bbox = loss_bbox
            return model

        monkeypatch.setattr(toys, "retinanet_config", config)
        return functools.partial(make_runner, tmp_path / name, voc, max_epochs, hooks)

    return make


@pytest.mark.parametrize(
    ("loss", "needs"),
    [
        (GHM, "running statistics need the hook"),
        (
            dict(
                type="imb_det.CrossEntropyLoss",
                use_sigmoid=True,
                class_weight="inverse",
            ),
            "`class_weight='inverse'` needs the classes",
        ),
        (
            dict(type="imb_det.FocalLoss", use_sigmoid=True, alpha="auto"),
            "`alpha='auto'` needs the classes",
        ),
    ],
)
def test_a_loss_without_the_hook_says_so_in_its_first_step(run, loss, needs):
    runner = run("a", 1, hooks=[], **loss)()
    with pytest.raises(RuntimeError, match=needs) as error:
        runner.train()
    assert "custom_hooks = [dict(type='imb_det.ImbalanceHook')]" in str(error.value)
    assert runner.iter == 0


def test_resumed_statistics_go_on_as_if_nothing_had_happened(run):
    unbroken = run("a", 3, loss_bbox=GHM_BOXES, **GHM)().train().state_dict()
    run("b", 1, loss_bbox=GHM_BOXES, **GHM)().train()
    resumed = run("b", 3, loss_bbox=GHM_BOXES, **GHM)(resume=True).train()
    kept = [name for name in unbroken if "density" in name]
    assert len(kept) == 6  # mean, steps and ranks of both losses
    assert unbroken[kept[1]] == 9  # three iterations in each of three epochs
    for name, value in resumed.state_dict().items():
        assert torch.equal(value, unbroken[name]), name


def test_all_levels_of_an_iteration_are_one_step(run):
    model = run("a", 1, **GHM)().train()
    density = model.bbox_head.loss_cls.density
    # Anchors of one image of 48 x 36, padded to 64: levels of 8, 4 and 2 cells.
    assert density.stats.steps == 3
    assert density.stats.value.sum() <= 2 * (64 + 16 + 4) * 6 * 2


def test_weights_by_a_rule_come_from_the_training_set_and_outlive_it(run, tmp_path):
    loss = dict(type="imb_det.CrossEntropyLoss", use_sigmoid=True)
    model = run("a", 1, class_weight="inverse", **loss)().train()
    # 5 cats and 3 dogs: 1/5 and 1/3, to mean 1 over the eight.
    weights = model.bbox_head.loss_cls.class_weight.value
    assert weights.tolist() == pytest.approx([0.8, 4 / 3])
    fresh = run("b", 1, hooks=[], class_weight="inverse", **loss)().model
    state = torch.load(tmp_path / "a" / "epoch_1.pth", weights_only=False)
    fresh.load_state_dict(state["state_dict"])
    assert torch.equal(fresh.bbox_head.loss_cls.class_weight.value, weights)


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ({"cow": 2.0}, r"\['cow'\], which are no classes; the classes are \('cat', 'd"),
        ([1.0, 2.0, 3.0], r"3 numbers, but there are 2 classes: \('cat', 'dog'\)"),
    ],
)
def test_weights_that_do_not_fit_list_the_classes(run, class_weight, message):
    loss = dict(type="imb_det.CrossEntropyLoss", use_sigmoid=True)
    with pytest.raises(ValueError, match=message):
        run("a", 1, class_weight=class_weight, **loss)().train()


def test_a_dense_head_of_another_activation_is_refused():
    config = toys.retinanet_config()
    config.bbox_head.loss_cls = dict(type="imb_det.FocalLoss")  # no `use_sigmoid`
    with pytest.raises(ValueError, match="Write `use_sigmoid=True` into `loss_cls`"):
        refuse_activations(toys.build_model(config))
    config.bbox_head.loss_cls.use_sigmoid = True
    refuse_activations(toys.build_model(config))


@pytest.mark.parametrize("update_buffers", [False, True])
def test_moving_averages_of_the_model_get_the_numbers_too(run, update_buffers):
    loss = dict(type="imb_det.CrossEntropyLoss", use_sigmoid=True)
    ema = dict(type="EMAHook", update_buffers=update_buffers)
    runner = run("a", 2, hooks=[*BOTH_HOOKS, ema], class_weight="inverse", **loss)()
    runner.train()
    [average] = [hook.ema_model for hook in runner.hooks if hasattr(hook, "ema_model")]
    weights = average.module.bbox_head.loss_cls.class_weight.value
    assert weights.tolist() == pytest.approx([0.8, 4 / 3])


def test_difficulty_without_its_hook_says_so_in_its_first_step(run):
    runner = run("a", 1, type="imb_det.CDBLoss", use_sigmoid=True)()
    with pytest.raises(RuntimeError, match="ClassDifficultyHook', source='score'"):
        runner.train()


def test_statistics_are_no_longer_managed_after_training(run):
    model = run("a", 1, **GHM)().train()
    assert not model.bbox_head.loss_cls.density.stats.managed


@pytest.mark.parametrize(
    "head",
    [
        dict(
            type="DoubleConvFCBBoxHead",
            num_convs=1,
            num_fcs=1,
            in_channels=8,
            conv_out_channels=8,
            fc_out_channels=8,
        ),
        dict(type="SABLHead", cls_in_channels=8, reg_in_channels=8),
    ],
    ids=lambda head: head["type"],
)
def test_roi_heads_with_a_softmax_of_their_own_are_refused(head):
    def build(**loss_cls):
        config = dict(head, num_classes=3, loss_cls=loss_cls)
        return nn.ModuleDict({"bbox_head": MODELS.build(config)})

    refuse_activations(build(type="imb_det.CrossEntropyLoss", use_sigmoid=False))
    with pytest.raises(ValueError, match="predicts with a softmax, whatever its loss"):
        refuse_activations(build(type="imb_det.FocalLoss", use_sigmoid=True))


@pytest.mark.parametrize("link", [SigmoidWithObjectnessLink, SoftmaxWithObjectnessLink])
def test_outputs_that_a_dense_head_does_not_have_are_named(link):
    config = toys.retinanet_config()
    config.bbox_head.loss_cls = dict(
        type="imb_det.CrossEntropyLoss", use_sigmoid=link.use_sigmoid
    )
    model = toys.build_model(config)
    refuse_activations(model)
    model.bbox_head.loss_cls.link = link()
    with pytest.raises(ValueError, match=r"`bbox_head` .*beyond the classes"):
        refuse_activations(model)


def test_a_head_that_never_asks_for_the_activation_is_named():
    head = DETRHead(dict(type="imb_det.CrossEntropyLoss", use_sigmoid=True)).head
    model = nn.ModuleDict({"bbox_head": head})
    refuse_activations(model)
    head.loss_cls.link = GumbelLink()
    with pytest.raises(ValueError, match=r"`bbox_head` .*trains GumbelLink"):
        refuse_activations(model)
