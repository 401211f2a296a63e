"""What mmdet's own losses for rare classes do, and what ours do in their place.

Each test of a fault shows it in mmdet's class, and that ours is without it.
"""

import inspect

import pytest
import torch
from mmdet.models import layers as mmdet_layers
from mmdet.models.losses.pisa_loss import isr_p
from mmengine.config import ConfigDict

from imb_det.checks import check_activations
from imb_det.core import CheckContext
from imb_det.losses import flush_statistics, manage_statistics
from imb_det.prior.start_bias import set_start_biases
from imb_det.registry import MODELS
from imb_det.statistics import ClassStats
from tests import toys
from tests.contracts.roi_heads import RoIHead
from tests.two_ranks import on_two_ranks

CLASSES = 3
STATS = ClassStats(("ant", "bee", "cat"), [8, 3, 1], [8, 3, 1], 9)
EQLV2 = dict(type="mmdet.EQLV2Loss", num_classes=CLASSES)
SEESAW = dict(type="mmdet.SeesawLoss", num_classes=CLASSES)
EQLV2_OURS = dict(type="imb_det.EQLv2Loss")
SEESAW_OURS = dict(type="imb_det.SeesawLoss")
#: Outputs of a box head.
CHANNELS = {"EQLV2Loss": CLASSES + 1, "SeesawLoss": CLASSES + 2}


def ours(config):
    """A loss of ours, as it is when a training starts."""
    loss = MODELS.build(config)
    for part in loss.modules():
        if hasattr(part, "set_class_stats"):
            part.set_class_stats(STATS)
    manage_statistics(loss)
    return loss


def batch(seed, channels, rows=24):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(rows, channels, generator=generator)
    labels = torch.randint(0, CLASSES + 1, (rows,), generator=generator)
    labels[:4] = torch.arange(4)
    return logits.requires_grad_(), labels


def counted(loss):
    """What a loss has counted or summed, as one list; of ours for mmdet's order."""
    if hasattr(loss, "cum_samples"):
        return loss.cum_samples[:CLASSES].tolist()
    if hasattr(loss, "pos_grad"):
        return torch.cat([loss.pos_grad, loss.neg_grad]).tolist()
    statistics = loss.counts if hasattr(loss, "counts") else loss.ratio.sums
    return statistics.value.tolist()


PAIRS = pytest.mark.parametrize(
    ("theirs", "mine"),
    [(EQLV2, EQLV2_OURS), (SEESAW, SEESAW_OURS)],
    ids=["EQLV2Loss", "SeesawLoss"],
)


def channels_of(theirs):
    return CHANNELS[theirs["type"].removeprefix("mmdet.")]


# What is the same.


@pytest.mark.parametrize(
    ("theirs", "mine"),
    [
        (EQLV2, EQLV2_OURS),
        (
            dict(EQLV2, gamma=4, mu=0.4, alpha=2.0),
            dict(EQLV2_OURS, gamma=4, mu=0.4, alpha=2),
        ),
        (SEESAW, dict(SEESAW_OURS, statistics="call")),
        (dict(SEESAW, p=0.3, q=1.0), dict(SEESAW_OURS, statistics="call", p=0.3, q=1)),
    ],
    ids=["EQLV2Loss", "EQLV2Loss-options", "SeesawLoss", "SeesawLoss-options"],
)
def test_values_gradients_and_statistics_are_those_of_mmdet(theirs, mine):
    reference, loss = MODELS.build(theirs), ours(mine)
    for step in range(6):
        logits, labels = batch(step, channels_of(theirs))
        copy = logits.detach().clone().requires_grad_()
        wanted = reference(copy, labels, torch.ones(24), avg_factor=24)
        if isinstance(wanted, dict):
            wanted = sum(wanted.values())
        value = loss(logits, labels, torch.ones(24), avg_factor=24)
        flush_statistics(loss)
        torch.testing.assert_close(value, wanted, rtol=2e-5, atol=1e-6)
        wanted.backward()
        value.backward()
        torch.testing.assert_close(logits.grad, copy.grad, rtol=2e-4, atol=1e-7)
        assert counted(loss) == pytest.approx(counted(reference), rel=1e-4)
    first = ours(mine)(*batch(5, channels_of(theirs)), avg_factor=24)
    assert abs(first - value) > 1e-3  # what was learnt counts


# Both: ranks, rows without weight, extra calls.


def of_ranks(rank):
    found = []
    for config in (EQLV2, EQLV2_OURS, SEESAW, SEESAW_OURS):
        loss = ours(config)
        channels = channels_of(EQLV2 if "EQL" in config["type"] else SEESAW)
        loss(*batch(rank, channels), avg_factor=24)
        flush_statistics(loss)
        found.append(counted(loss))
    return found


@pytest.mark.dist
def test_each_rank_counts_for_itself(tmp_path):
    first, second = on_two_ranks(tmp_path, of_ranks)
    alone = [of_ranks(rank) for rank in range(2)]
    for index in (0, 2):  # mmdet's
        assert first[index] != second[index]
        assert [first[index], second[index]] == [alone[0][index], alone[1][index]]
    for index in (1, 3):
        assert first[index] == second[index]
        both = torch.tensor([alone[0][index], alone[1][index]]).sum(0)
        assert first[index] == pytest.approx(both.tolist())


@PAIRS
def test_rows_without_weight_are_counted(theirs, mine):
    for config, counts in ((theirs, True), (mine, False)):
        loss = ours(config)
        loss(*batch(0, channels_of(theirs)), torch.zeros(24), avg_factor=1.0)
        flush_statistics(loss)
        assert any(counted(loss)) == counts


@PAIRS
def test_extra_calls_of_samplers_are_counted(theirs, mine):
    for config, counts in ((theirs, True), (mine, False)):
        loss = ours(config)
        with torch.no_grad():  # as OHEM
            loss(*batch(0, channels_of(theirs)), reduction_override="none")
        flush_statistics(loss)
        assert any(counted(loss)) == counts


@PAIRS
def test_samplers_that_choose_by_loss_find_none(theirs, mine):
    """OHEM takes the losses of the rows by `loss_cls`, PISA from the loss itself."""

    def of_rows(config):
        torch.manual_seed(0)
        roi = RoIHead(config)
        if config is mine:
            roi.head.loss_cls = ours(config)
            roi.head.loss_cls.get_cls_channels(CLASSES)
        logits, labels = batch(0, roi.head.fc_cls.out_features, rows=8)
        found = roi.head.loss(
            logits,
            None,
            roi.rois(),
            labels,
            torch.ones(8),
            None,
            None,
            reduction_override="none",
        )
        return found.get("loss_cls")

    found = of_rows(theirs)
    assert found is None if theirs is SEESAW else found.dim() == 0
    assert of_rows(mine).shape == (8,)


def test_pisa_cannot_call_seesaw():
    class Sample:
        pos_assigned_gt_inds = torch.tensor([0, 1, 2])

    class Coder:
        @staticmethod
        def decode(rois, deltas):
            return rois + deltas

    logits, _ = batch(0, CLASSES + 2, rows=4)
    labels = torch.tensor([0, 1, 2, 3])
    targets = (labels, torch.ones(4), torch.zeros(4, 4), torch.ones(4, 4))
    rois = torch.tensor([[0.0, 0, 0, 9, 9]] * 4)
    arguments = (logits, torch.zeros(4, 4), targets, rois, [Sample()])
    with pytest.raises(AttributeError, match="'dict' object has no attribute 'dim'"):
        isr_p(*arguments, MODELS.build(SEESAW), Coder(), num_class=CLASSES)
    mine = ours(SEESAW_OURS)
    mine.get_cls_channels(CLASSES)
    _, weights, _, _ = isr_p(*arguments, mine, Coder(), num_class=CLASSES)
    assert weights.isfinite().all()


# EQLv2.


def scores_of(loss, logits):
    return RoIHead(loss).scores(logits)


def test_eqlv2_predicts_with_another_activation_than_it_trains():
    logits = torch.linspace(-3, 3, 8 * (CLASSES + 1)).reshape(8, -1)
    p = logits.sigmoid()
    trained = p[:, :-1] * (1 - p[:, -1:])
    found = scores_of(EQLV2, logits)
    torch.testing.assert_close(found, logits.softmax(1)[:, :-1])
    assert (found - trained).abs().max() > 0.1
    torch.testing.assert_close(scores_of(EQLV2_OURS, logits), trained)


def test_eqlv2_starts_with_a_bias_of_zero():
    """Half of each row then is negative gradient of every class, for ever."""
    rows, sums, biases = 512, {}, {}
    for name, config in dict(mmdet=EQLV2, ours=EQLV2_OURS).items():
        torch.manual_seed(0)
        roi = RoIHead(config)
        roi.head.init_weights()
        if name == "ours":
            set_start_biases(roi.head, {})
        biases[name] = roi.head.fc_cls.bias.tolist()
        loss = ours(config)
        logits, _ = roi.head(torch.randn(rows, 4, 2, 2))
        labels = torch.full((rows,), CLASSES)
        labels[0] = 0
        loss(logits, labels, torch.ones(rows), avg_factor=rows)
        flush_statistics(loss)
        sums[name] = counted(loss)
    assert biases["mmdet"] == [0.0] * 4
    assert biases["ours"] == pytest.approx([-6.9068] * 4, abs=1e-4)
    # Gradients of positives, then of negatives, of the three classes.
    assert sums["mmdet"] == pytest.approx([0.5, 0, 0, 255.5, 256, 256], rel=0.02)
    assert sums["ours"] == pytest.approx([0.999, 0, 0, 0.511, 0.512, 0.512], rel=0.02)


def test_eqlv2_takes_no_notice_of_weights_and_reductions():
    logits, labels = batch(0, CLASSES + 1)
    weight = torch.linspace(0, 3, 24)
    plain = MODELS.build(EQLV2)(logits, labels)
    others = (
        dict(weight=weight),
        dict(avg_factor=7.0),
        dict(reduction_override="none"),
        dict(reduction_override="sum"),
    )
    for arguments in others:
        assert torch.equal(MODELS.build(EQLV2)(logits, labels, **arguments), plain)
        mine = ours(EQLV2_OURS)(logits, labels, **arguments)
        assert mine.shape != plain.shape or abs(mine - plain) > 0.1


def test_eqlv2_over_ranks_needs_a_process_group_even_in_one_process():
    loss = MODELS.build(dict(EQLV2, use_distributed=True))
    with pytest.raises((RuntimeError, ValueError), match="process group"):
        loss(*batch(0, CLASSES + 1))
    assert ours(EQLV2_OURS)(*batch(0, CLASSES + 1)).isfinite()


# Seesaw.


def test_seesaw_waits_for_the_device_once_a_class():
    """A device without numbers shows it: nothing can be waited for there."""
    logits, labels = (x.to("meta") for x in batch(0, CLASSES + 2))
    with pytest.raises((RuntimeError, NotImplementedError)):
        MODELS.build(SEESAW).to("meta")(logits, labels)
    loss = ours(SEESAW_OURS).to("meta")
    assert loss(logits, labels, avg_factor=24.0).shape == ()
    flush_statistics(loss)


def test_seesaw_asks_for_the_value_of_each_label(monkeypatch):
    asked = []
    item = torch.Tensor.item
    monkeypatch.setattr(
        torch.Tensor, "item", lambda self: asked.append(1) or item(self)
    )
    logits, labels = batch(0, CLASSES + 2)
    MODELS.build(SEESAW)(logits, labels)
    assert len(asked) == CLASSES + 1
    asked.clear()
    ours(SEESAW_OURS)(logits, labels)
    assert not asked


def test_seesaw_in_a_dense_head():
    """The head has one output less; the loss then stops without a word."""
    config = toys.retinanet_config(CLASSES)
    config.bbox_head.loss_cls = dict(SEESAW, use_sigmoid=False)
    model = toys.build_model(config)
    head = model.bbox_head
    assert head.cls_out_channels == CLASSES + 1
    with pytest.raises(AssertionError) as error:
        head.loss_cls(torch.zeros(2, head.cls_out_channels), torch.tensor([0, 3]))
    assert str(error.value) == ""
    config.bbox_head.loss_cls = dict(SEESAW_OURS, use_sigmoid=False)
    (finding,) = check_activations(CheckContext(model=toys.build_model(config)))
    assert finding.code == "link_channels"
    assert "Use SeesawLoss in a box head such as Shared2FCBBoxHead" in finding.remedy


# Sigmoid losses in box heads.


@pytest.mark.parametrize("kind", ["CrossEntropyLoss", "FocalLoss"])
def test_sigmoid_losses_in_box_heads(kind):
    """mmdet trains an output for background too, and predicts with a softmax."""
    theirs = RoIHead(dict(type=f"mmdet.{kind}", use_sigmoid=True))
    mine = RoIHead(dict(type=f"imb_det.{kind}", use_sigmoid=True))
    assert theirs.head.fc_cls.out_features == CLASSES + 1
    assert mine.head.fc_cls.out_features == CLASSES
    logits = torch.linspace(-3, 3, 8 * (CLASSES + 1)).reshape(8, -1)
    torch.testing.assert_close(theirs.scores(logits), logits.softmax(1)[:, :-1])
    logits = logits[:, :-1]
    torch.testing.assert_close(mine.scores(logits), logits.sigmoid())


def test_focal_custom_loss_loses_the_last_class_and_boxes():
    """What follows takes the last column for background, and counts columns."""
    found = {}
    for name, config in {
        "mmdet": dict(type="mmdet.FocalCustomLoss", num_classes=CLASSES),
        "ours": dict(type="imb_det.FocalLoss", use_sigmoid=True),
    }.items():
        roi = RoIHead(config)
        rois, logits = roi.rois(), torch.full((8, CLASSES), -9.0)
        logits[3, 0] = logits[5, -1] = 9.0
        (results,) = roi.head.predict_by_feat(
            (rois,),
            (logits,),
            (torch.zeros(8, 4 * CLASSES),),
            [dict(img_shape=(64, 64))],
            rcnn_test_cfg=ConfigDict(
                score_thr=0.5, nms=dict(type="nms", iou_threshold=0.9), max_per_img=100
            ),
        )
        rows = [rois[:, 1:].tolist().index(box) for box in results.bboxes.tolist()]
        found[name] = sorted(zip(rows, results.labels.tolist(), strict=True))
    assert found["ours"] == [(3, 0), (5, CLASSES - 1)]
    assert found["mmdet"] == [(2, 0)]  # another box, and one class


# Normalised classifiers.


@pytest.mark.parametrize("name", ["NormedLinear", "NormedConv2d"])
def test_the_temperature_of_normed_layers_has_two_spellings(name):
    spelled = {"temperature", "tempearture"}
    theirs = getattr(mmdet_layers, name)
    known = spelled & set(inspect.signature(theirs).parameters)
    assert len(known) == 1
    sizes = (4, 2) if name == "NormedLinear" else (4, 2, 1)
    for word in sorted(spelled):
        if word not in known:
            with pytest.raises(TypeError, match=word):
                theirs(*sizes, **{word: 7})
        layer = MODELS.build(
            dict(type=f"imb_det.{name}", **{word: 7})
            | dict(
                zip(
                    ("in_features", "out_features")
                    if name == "NormedLinear"
                    else ("in_channels", "out_channels", "kernel_size"),
                    sizes,
                    strict=True,
                )
            )
        )
        assert layer.temperature == 7
