"""What is told after the first iteration: parts, their numbers, what they change."""

import copy
import logging

import pytest
import torch
from mmengine.dataset import ClassBalancedDataset
from torch import nn

from imb_det.core import Stage
from imb_det.core.listener import ClassStatsListener
from imb_det.hooks.in_effect import InEffect
from imb_det.layers import NormedLinear
from imb_det.losses import (
    CrossEntropyLoss,
    EQLv2Loss,
    FocalLoss,
    InstanceWeightedLoss,
    MaskCrossEntropyLoss,
    SeesawLoss,
)
from imb_det.losses.effect import effect_of
from imb_det.registry import MODELS
from imb_det.statistics import ClassStats
from tests.contracts.registered import registered
from tests.labelled_sets import LabelledDataset

STATS = ClassStats(("bee", "wasp", "fly"), [2, 50, 500], [2, 50, 500], 552)
RARE = torch.tensor([0])


def calls(number=60, channels=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(number, channels, generator=generator)
    label = torch.arange(number) % 4
    weight = torch.ones(number)
    return [((logits, label, weight), dict(avg_factor=float(number)))]


def told(loss):
    for part in loss.modules():
        if isinstance(part, ClassStatsListener):
            part.set_class_stats(STATS)
    return loss


def test_shares_are_those_of_the_gradient_by_hand():
    logits = torch.zeros(3, 4)  # a softmax of 1/4 each
    label = torch.tensor([0, 2, 3])
    loss = CrossEntropyLoss(class_weight=[3.0, 1.0, 1.0])
    effect = effect_of(loss, [((logits, label), {})], RARE)
    # Each row has a gradient of size 3/4 + 3 * 1/4; that of bee counts three times.
    assert effect.rare == pytest.approx((1 / 2, 3 / 4))
    assert effect.background == pytest.approx((1 / 3, 1 / 5))
    assert effect.changes


def test_a_factor_common_to_all_changes_nothing():
    loss = CrossEntropyLoss(class_weight=[2.0, 2.0, 2.0], bg_weight=2.0)
    assert not effect_of(loss, calls(), RARE).changes
    assert not effect_of(CrossEntropyLoss(loss_weight=3.0), calls(), RARE).changes


@pytest.mark.parametrize("of_images", [False, True])
def test_targets_are_of_the_class_that_they_are_largest_for(of_images):
    """One-hot or qualities, as YOLOX, VFNet and, image by image, YOLOv3 have them."""
    logits = torch.zeros(3, 3)
    target = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    if of_images:
        logits, target = logits[None], target[None]
    plain = CrossEntropyLoss(use_sigmoid=True)
    assert not effect_of(plain, [((logits, target), {})], RARE).changes
    loss = CrossEntropyLoss(use_sigmoid=True, class_weight=[3.0, 1.0, 1.0])
    effect = effect_of(loss, [((logits, target), {})], RARE)
    # Each entry has a gradient of 1/2; that of bee's own counts three times.
    assert effect.rare == pytest.approx((1 / 2, 5 / 8))
    assert effect.background == pytest.approx((1 / 3, 3 / 11))


def test_maps_have_the_class_of_each_pixel():
    logits, label = torch.zeros(1, 3, 1, 3), torch.tensor([[[0, 1, 255]]])
    options = dict(ignore_index=255, class_weight=[3.0, 1.0, 1.0])
    effect = effect_of(CrossEntropyLoss(**options), [((logits, label), {})], RARE)
    assert effect.rare == pytest.approx((1 / 2, 3 / 4))
    assert effect.background == (0, 0)


@pytest.mark.parametrize("kind", [FocalLoss, EQLv2Loss, SeesawLoss])
def test_the_loss_itself_is_left_alone(kind):
    loss = told(kind())
    channels = loss.get_cls_channels(3) if kind is not FocalLoss else 3
    before = copy.deepcopy(loss.state_dict())
    effect_of(loss, calls(channels=channels), RARE)
    for name, value in loss.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0, equal_nan=True)


class Head(nn.Module):
    def __init__(self, **losses):
        super().__init__()
        for name, loss in losses.items():
            setattr(self, name, told(loss))


def logged(caplog, head, times=1, calls_of=("loss_cls",), others=(), dataset=None):
    places = {id(m): f"`{name}`" for name, m in head.named_modules() if name}
    watching = InEffect(head, places, STATS, others=others, dataset=dataset)
    with caplog.at_level(logging.INFO):
        for _ in range(times):
            for name in calls_of:
                for arguments, named in calls():
                    getattr(head, name)(
                        arguments[0].clone().requires_grad_(), *arguments[1:], **named
                    )
            watching.iteration_is_over()
    return caplog.text


@pytest.fixture
def caplog(caplog, monkeypatch):
    # What mmengine logs without a runner goes to its own logger.
    def to_logging(text, logger=None, level=logging.INFO):
        logging.getLogger("imb_det").log(level, text)

    monkeypatch.setattr("imb_det.hooks.in_effect.print_log", to_logging)
    return caplog


def test_the_table_names_numbers_places_and_shares_and_comes_once(caplog):
    head = Head(loss_cls=CrossEntropyLoss(class_weight="inverse"))
    text = logged(caplog, head, times=3)
    assert text.count("in effect") == 1
    assert "loss_cls" in text
    weights = head.loss_cls.class_weight.value
    assert f"class_weight {weights[0]:.3g} (bee) to {weights[2]:.3g} (fly)" in text
    assert "rare classes 34.8% to 90.8%" in text


def test_calls_that_are_too_large_to_keep_are_no_calls_that_never_came(
    caplog, monkeypatch
):
    monkeypatch.setattr("imb_det.hooks.in_effect._MOST_LOGITS", 10)
    text = logged(caplog, Head(loss_cls=CrossEntropyLoss(class_weight="inverse")))
    assert "not compared (a call has more than" in text
    assert "was not called" not in text


def test_plain_cross_entropy_is_no_part_of_it(caplog):
    assert "in effect" not in logged(caplog, Head(loss_cls=CrossEntropyLoss()))


def test_weights_of_masks_are_told(caplog):
    weighted = MaskCrossEntropyLoss(class_weight="inverse")
    dice = dict(type="mmdet.DiceLoss")
    around = InstanceWeightedLoss(dice, class_weight=[1.0, 2.0, 3.0])
    plain = MaskCrossEntropyLoss()
    head = Head(loss_mask=weighted, loss_dice=around, loss_point=plain)
    text = logged(caplog, head, calls_of=())
    lines = [line for line in text.splitlines() if "weighs instances" in line]
    assert [line.split()[0] for line in lines] == [
        "MaskCrossEntropyLoss",
        "InstanceWeightedLoss",
    ]
    assert "class_weight 1 (bee) to 3 (fly)" in lines[1]


def test_a_teacher_is_not_told(caplog):
    model = nn.ModuleDict()
    for name in ("student", "teacher"):
        model[name] = Head(loss_cls=CrossEntropyLoss(class_weight="inverse"))
        model[name].fc_cls = nn.Linear(2, 3)
    model["teacher"].requires_grad_(False)
    model.loss_cls = model["student"].loss_cls
    text = logged(caplog, model)
    assert "student.loss_cls" in text
    assert "teacher" not in text


def test_weights_without_effect_are_a_warning(caplog):
    logged(caplog, Head(loss_cls=CrossEntropyLoss(class_weight=[1.0, 1.0, 1.0])))
    (warning,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "loss_cls" in warning.message
    assert "changes nothing" in warning.message


def test_what_begins_plain_by_design_is_no_warning(caplog):
    stages = dict(stages=dict(plain=None, late="inverse"))
    loss = CrossEntropyLoss(class_weight=stages)
    head = Head(loss_cls=loss)
    loss.class_weight.set_stage(Stage("plain", 0, ("plain", "late")))
    text = logged(caplog, head)
    assert not [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "nothing yet" in text


def test_others_say_it_themselves(caplog):
    class Part:
        def in_effect(self):
            return "weights", "draws more"

    class Idle:
        def in_effect(self):
            return "", ""

    head = Head(loss_cls=FocalLoss())
    text = logged(caplog, head, calls_of=(), others=[Part(), Idle(), object()])
    assert "draws more" in text
    assert "Idle" not in text
    assert "was not called" in text
    caplog.clear()
    assert "draws more" in logged(caplog, Head(), calls_of=(), others=[Part()])


@pytest.mark.parametrize("kind", registered(MODELS, "layers"))
def test_every_layer_says_what_it_does(kind):
    sizes = (6, 8, 1) if "Conv" in kind else (6, 8)
    told, does = MODELS.get(kind)(*sizes).in_effect()
    assert told
    assert any(letter.isdigit() for letter in does)


def test_lengths_that_a_cosine_classifier_takes_out():
    layer = NormedLinear(2, 3, temperature=16)
    layer.weight.data = torch.tensor([[3.0, 4], [0, 1], [0, 2]])
    told = ("temperature 16", "rows of length 1 to 5 count as 1 to 1")
    assert layer.in_effect() == told
    layer.power = 0.5
    assert layer.in_effect()[1] == "rows of length 1 to 5 count as 1 to 2.24"


def test_a_wrapper_that_repeats_images_is_told_as_a_sampler_is(caplog):
    images = LabelledDataset([[2]] * 20 + [[0, 0]], 3)
    images.metainfo["classes"] = STATS.classes
    repeating = ClassBalancedDataset(images, oversample_thr=0.19)  # a factor of 2
    text = logged(caplog, Head(), calls_of=(), dataset=repeating)
    assert "ClassBalancedDataset  train_dataloader.dataset  oversample_thr 0.19" in text
    assert "boxes an epoch: rare 2 to 4, common 0 to 0, frequent 20 to 20" in text
    assert not [r for r in caplog.records if r.levelno == logging.WARNING]
    idle = ClassBalancedDataset(images, oversample_thr=1e-3)
    assert "repeats no image" in logged(caplog, Head(), calls_of=(), dataset=idle)
    assert [r for r in caplog.records if r.levelno == logging.WARNING]
