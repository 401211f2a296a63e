"""MaskFormer and Mask2Former with any softmax loss."""

from pathlib import Path

import mmdet
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.structures import InstanceData

from imb_det.checks import (
    check_activations,
    check_loss_callers,
    check_weight_scale,
)
from imb_det.core import CheckContext, Stage
from imb_det.losses import InstanceWeightedLoss, bind_losses, manage_statistics
from imb_det.statistics import ClassStats
from imb_det.statistics.running_stats import RunningStats
from tests.toys import MODELS

CONFIGS = Path(mmdet.__file__).parent / ".mim" / "configs"
FILES = {
    "Mask2FormerHead": "mask2former/mask2former_r50_8xb2-lsj-50e_coco.py",
    "MaskFormerHead": "maskformer/maskformer_r50_ms-16xb1-75e_coco.py",
}
CLASSES, SIDE = 3, 32
STATS = ClassStats(("ant", "bee", "cat"), [3, 4, 1], [4, 4, 1], 6)


def plain(**options):
    return dict(type="imb_det.CrossEntropyLoss", use_sigmoid=False, **options)


def build(kind, loss, scope="imb_det", **losses):
    model = Config.fromfile(CONFIGS / FILES[kind]).model
    head = model.panoptic_head
    head.update(
        type=f"{scope}.{kind}",
        in_channels=[8, 8, 8, 8],
        feat_channels=32,
        out_channels=32,
        num_queries=5,
        num_things_classes=CLASSES,
        num_stuff_classes=0,
    )
    small = dict(embed_dims=32, num_heads=2)
    encoder = head.pixel_decoder.encoder
    encoder.num_layers = 1
    layer = encoder.layer_cfg
    layer.self_attn_cfg.update(small)
    layer.ffn_cfg.update(embed_dims=32, feedforward_channels=32)
    head.pixel_decoder.positional_encoding.num_feats = 16
    head.positional_encoding.num_feats = 16
    decoder = head.transformer_decoder
    decoder.num_layers = 1
    for name in ("self_attn_cfg", "cross_attn_cfg"):
        decoder.layer_cfg[name].update(small)
    decoder.layer_cfg.ffn_cfg.update(embed_dims=32, feedforward_channels=32)
    head.loss_cls = loss
    for name, options in losses.items():
        inner = head[name]
        head[name] = dict(type="imb_det.InstanceWeightedLoss", loss=inner, **options)
    train_cfg = model.get("train_cfg")
    train_cfg.update(num_points=40)
    torch.manual_seed(0)
    return MODELS.build(dict(head, train_cfg=train_cfg, test_cfg=None))


def losses_of(head):
    torch.manual_seed(1)
    shape = (4 * SIDE, 4 * SIDE)
    sample = DetDataSample(
        metainfo=dict(img_shape=shape, pad_shape=shape, batch_input_shape=shape)
    )
    masks = np.zeros((2, *shape), np.uint8)
    masks[0, :40, :50], masks[1, 60:, 70:] = 1, 1
    sample.gt_instances = InstanceData(
        labels=torch.tensor([0, 2]), masks=BitmapMasks(masks, *shape)
    )
    maps = [torch.randn(1, 8, SIDE >> level, SIDE >> level) for level in range(4)]
    return head.loss(maps, [sample])


@pytest.fixture(params=FILES)
def kind(request):
    return request.param


def test_neutral_losses_are_those_of_mmdet(kind):
    theirs = dict(
        type="CrossEntropyLoss", use_sigmoid=False, class_weight=[1.0] * 3 + [0.1]
    )
    wanted = losses_of(build(kind, theirs, "mmdet"))
    a_tuple = dict(theirs, class_weight=(1.0, 1.0, 1.0, 0.1))
    with_list = plain(class_weight=[1.0] * 3 + [0.1])
    cdb = dict(type="imb_det.CDBLoss", bg_weight=0.1)
    for loss in (theirs, a_tuple, plain(bg_weight=0.1), with_list, cdb):
        head = build(kind, loss)
        if loss is cdb:
            head.loss_cls.set_class_difficulty_weights(torch.ones(CLASSES))
        found = losses_of(head)
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            torch.testing.assert_close(found[name], value)


@pytest.mark.parametrize(
    "loss",
    [
        plain(class_weight="inverse", bg_weight=0.1),
        plain(class_weight=dict(cat=3.0)),
        dict(type="imb_det.CDBLoss", bg_weight=0.1),
        dict(type="imb_det.LogitAdjustmentLoss"),
        dict(type="imb_det.LogitClipLoss", loss=plain(class_weight=[1.0, 1.0, 2.0])),
    ],
    ids=["rule", "names", "CDB", "LA", "wrapper"],
)
def test_softmax_losses_of_all_kinds_train(kind, loss):
    head = build(kind, loss)
    assert not list(check_activations(CheckContext(model=head)))
    for part in head.loss_cls.modules():
        if hasattr(part, "set_class_stats"):
            part.set_class_stats(STATS)
        if hasattr(part, "set_class_difficulty_weights"):
            part.set_class_difficulty_weights(torch.ones(CLASSES))
    losses = losses_of(head)
    total = sum(losses.values())
    total.backward()
    assert total.isfinite()


def test_statistics_are_those_of_the_last_layer(kind):
    head = build(kind, dict(type="imb_det.EBLLoss"))
    for part in head.loss_cls.modules():
        if hasattr(part, "set_class_stats"):
            part.set_class_stats(STATS)
    manage_statistics(head)
    losses = losses_of(head)
    layers = sum(name.endswith("loss_cls") for name in losses)
    assert layers == (2 if kind == "Mask2FormerHead" else 1)
    stats = next(p for p in head.loss_cls.modules() if isinstance(p, RunningStats))
    _, counts = stats.pending.chunk(2)
    assert counts.tolist() == [1, 0, 1]  # an object each of two classes


def test_the_divisor_is_the_sum_of_the_weights(kind):
    """All logits 0: each row has log(4), and their weighted mean is that."""
    loss = plain(class_weight=dict(ant=7.0, cat=3.0), bg_weight=0.1)
    head = build(kind, loss)
    for part in head.loss_cls.modules():
        if hasattr(part, "set_class_stats"):
            part.set_class_stats(STATS)
    assert head.class_weight == [7.0, 1.0, 3.0, pytest.approx(0.1)]
    torch.nn.init.zeros_(head.cls_embed.weight)
    torch.nn.init.zeros_(head.cls_embed.bias)
    assert losses_of(head)["loss_cls"].item() == pytest.approx(1.38629, rel=1e-4)


def test_heads_of_mmdet_are_told_the_weights(kind):
    head = build(kind, plain(class_weight="inverse", bg_weight=0.1), "mmdet")
    for part in head.loss_cls.modules():
        if hasattr(part, "set_class_stats"):
            part.set_class_stats(STATS)
    assert head.class_weight == "inverse"  # of which no tensor can be made
    bind_losses(head)
    assert head.class_weight == pytest.approx([0.75, 0.75, 3.0, 0.1])
    losses_of(head)
    stages = dict(plain=None, late="inverse")
    staged = plain(class_weight=dict(stages=stages), bg_weight=0.1)
    head = build(kind, staged, "mmdet")
    (found,) = check_loss_callers(CheckContext(model=head))
    assert f"type='imb_det.{kind}'" in found.remedy
    ours = build(kind, staged)
    assert not list(check_loss_callers(CheckContext(model=ours)))
    for weights, stage in (([1, 1, 1, 0.1], "plain"), ([0.75, 0.75, 3, 0.1], "late")):
        for part in ours.loss_cls.modules():
            if hasattr(part, "set_class_stats"):
                part.set_class_stats(STATS)
            if hasattr(part, "set_stage"):
                part.set_stage(Stage(stage, 0, ("plain", "late")))
        assert ours.class_weight == pytest.approx(weights)


def test_sigmoid_losses_are_refused_as_masks_are_predicted_by_a_softmax(kind):
    head = build(kind, dict(type="imb_det.FocalLoss", use_sigmoid=True))
    (found,) = check_activations(CheckContext(model=head))
    assert "makes 1 beyond the classes" in found.evidence
    line = found.remedy.split("`loss_cls=", 1)[1].split("`", 1)[0]
    other = build(kind, eval(line))
    assert list(check_activations(CheckContext(model=other))) == []


def test_weights_that_are_measured_come_after_the_checks(kind):
    """Before the first iteration nobody has told them yet."""
    head = build(kind, dict(type="imb_det.CDBLoss", bg_weight=0.1))
    context = CheckContext(model=head, train_loop="a loop")
    for check in (check_activations, check_loss_callers, check_weight_scale):
        assert list(check(context)) == []
    bind_losses(head)


MASKS = ("loss_mask", "loss_dice")


@pytest.mark.parametrize("name", MASKS)
def test_instances_have_the_weight_of_their_class(kind, name):
    """Objects are of the classes 0 and 2; of weight 0 they are as if not there."""
    wanted = losses_of(build(kind, plain()))[name].item()
    found = {}
    for weights in ([1.0] * 3, [2.0] * 3, [1.0, 9.0, 0.0], [0.0, 9.0, 1.0]):
        head = build(kind, plain(), **{name: dict(class_weight=weights)})
        found[tuple(weights)] = losses_of(head)[name].item()
    assert found[1.0, 1.0, 1.0] == pytest.approx(wanted, rel=1e-5)
    assert found[2.0, 2.0, 2.0] == pytest.approx(2 * wanted, rel=1e-5)
    parts = [found[1.0, 9.0, 0.0], found[0.0, 9.0, 1.0]]
    assert sum(parts) == pytest.approx(wanted, rel=1e-5)
    assert min(parts) > 0


def test_weights_by_a_rule_reach_the_masks(kind):
    head = build(kind, plain(), **{n: dict(class_weight="inverse") for n in MASKS})
    for part in head.modules():
        if hasattr(part, "set_class_stats"):
            part.set_class_stats(STATS)
    total = sum(losses_of(head).values())
    total.backward()
    assert total.isfinite()


def test_a_head_that_does_not_tell_the_classes_is_named(kind):
    head = build(
        kind,
        dict(type="CrossEntropyLoss", use_sigmoid=False, class_weight=[1.0] * 4),
        "mmdet",
        loss_dice=dict(class_weight=[1.0, 2.0, 3.0]),
    )
    (found,) = check_loss_callers(CheckContext(model=head))
    assert f"type='imb_det.{kind}'" in found.remedy
    with pytest.raises(RuntimeError, match=rf"`loss_dice` of {kind}.*imb_det.Mask2Fo"):
        losses_of(head)


def test_losses_of_pixels_know_no_classes():
    """A focal loss of masks is fine, numbers of the classes have no place in it."""
    weights = [1.0] * (CLASSES + 1)
    for alpha in (0.5, "auto"):
        head = build("MaskFormerHead", plain(class_weight=weights), "mmdet")
        focal = dict(type="imb_det.FocalLoss", use_sigmoid=True, alpha=alpha)
        head.loss_mask = MODELS.build(focal)
        found = list(check_loss_callers(CheckContext(model=head)))
        assert ["imb_det.MaskFormerHead" in x.remedy for x in found] == (
            [True] * (alpha == "auto")
        )


def test_losses_without_instances_are_refused():
    with pytest.raises(TypeError, match="must be the config of a loss: 3"):
        InstanceWeightedLoss(3)
    with pytest.raises(TypeError, match="Identity has no `reduction_override`"):
        InstanceWeightedLoss(torch.nn.Identity())
    dice = dict(type="DiceLoss")
    with pytest.raises(ValueError, match="`class_weight`"):
        InstanceWeightedLoss(dice, class_weight="rare")
    loss = InstanceWeightedLoss(dice, class_weight=[1.0, 2.0])
    loss.set_instances(torch.tensor([0, 1, 1]), 2)
    with pytest.raises(ValueError, match="are not those of 3 instances"):
        loss(torch.zeros(2, 5), torch.zeros(2, 5))
    loss.set_instances(torch.zeros(0, dtype=torch.long), 2)
    none = torch.zeros(0, 5, requires_grad=True)
    for reduction in ("none", "sum", "mean"):
        value = loss(none, none.detach(), reduction_override=reduction)
        assert value.sum() == 0
        assert value.requires_grad
