"""What a loss call and a validation tell about the accuracy of each class."""

import math

import numpy as np
import pytest
import torch
from mmdet.models.losses import (
    CrossEntropyLoss,
    FocalLoss,
    QualityFocalLoss,
    SeesawLoss,
    VarifocalLoss,
)
from torch import nn

from imb_det.hooks.accuracy_meter import AccuracyMeter, class_losses
from imb_det.hooks.class_accuracy import (
    accuracy_of_metrics,
    hits,
    rows_of,
    true_class_probability,
)

NAN = float("nan")
#       best class: 0          2          1          0 (background is higher)
LOGITS = [[3.0, 1, 2, 0], [0, -1, 2, 1], [-3, -1, -2, -4], [-1, -2, -3, 5]]


def scores(num_columns=3):
    return torch.tensor(LOGITS)[:, :num_columns].clone().requires_grad_()


def one_hot(labels, num_columns):
    table = torch.zeros(len(labels), num_columns)
    for row, label in enumerate(labels):
        if label is not None:
            table[row, label] = 0.7
    return table


@pytest.mark.parametrize(
    ("label", "weight", "rows"),
    [
        (torch.tensor([0, 3, 2, 1]), None, [0, 2, 3]),
        (torch.tensor([0, -1, 2, 255]), None, [0, 2]),
        (torch.tensor([0, 1, 2, 1]), torch.tensor([1.0, 0, 0.5, 0]), [0, 2]),
        (torch.tensor([0, 1, 2, 1]), torch.tensor(0.5), [0, 1, 2, 3]),
        (torch.tensor([0, 1, 2, 1]), 1.0, [0, 1, 2, 3]),
        (one_hot([0, None, 2, 1], 3), None, [0, 2, 3]),
        (one_hot([0, None, 2, 1], 3), one_hot([0, 1, None, 1], 3), [0, 3]),
        (one_hot([0, None, 2, 1], 3), one_hot([0, 1, None, 1], 3).flatten(), [0, 3]),
        (one_hot([0, 3, 2, 1], 4), None, [0, 2, 3]),
        ((torch.tensor([0, 3, 2, 1]), torch.ones(4)), None, [0, 2, 3]),
    ],
    ids=[
        "background",
        "ignored",
        "row-weights",
        "one-weight",
        "number",
        "one-hot",
        "entry-weights",
        "flat-weights",
        "soft-background",
        "quality",
    ],
)
def test_rows_that_count(label, weight, rows):
    logits, found = rows_of(scores(), label, weight, 3)
    assert logits.tolist() == [LOGITS[row][:3] for row in rows]
    assert found.tolist() == [[0, 1, 2, 1][row] for row in rows]
    assert not logits.requires_grad


def test_scores_of_more_dimensions_and_none():
    label = one_hot([0, None, 2, 1], 3).reshape(2, 2, 3)
    logits, found = rows_of(scores().reshape(2, 2, 3), label, label, 3)
    assert logits.tolist() == [LOGITS[row][:3] for row in (0, 2, 3)]
    assert found.tolist() == [0, 2, 1]
    for empty in (torch.zeros(0, dtype=torch.long), torch.zeros(0, 3)):
        logits, found = rows_of(torch.zeros(0, 3), empty, None, 3)
        assert logits.shape == (0, 3)
        assert found.shape == (0,)


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"scores of shape \(4, 3\) .* 5 classes"):
        rows_of(scores(), torch.zeros(4), None, 5)
    with pytest.raises(ValueError, match=r"labels of shape \(3,\)"):
        rows_of(scores(), torch.zeros(3), None, 3)


LABELS = torch.tensor([0, 2, 1, 0])


@pytest.mark.parametrize(
    ("use_sigmoid", "background_is_error", "right"),
    [
        (True, False, [1, 1, 1, 1]),
        (False, False, [1, 1, 1, 1]),
        (True, True, [1, 1, 0, 0]),  # logits 3, 2, -1, -1
        (False, True, [1, 1, 1, 0]),
    ],
)
def test_hits_by_hand(use_sigmoid, background_is_error, right):
    loss = CrossEntropyLoss(use_sigmoid=use_sigmoid)
    logits = torch.tensor(LOGITS)[:, : 3 if use_sigmoid else 4]
    judge = hits(background_is_error)
    assert judge(loss, logits, LABELS, 3).tolist() == right
    assert judge(loss, logits, (LABELS + 1) % 3, 3).sum() == 0


def test_probability_of_the_true_class_by_hand():
    logits = torch.tensor([[0.0, math.log(3), 0.0], [0.0, 0.0, math.log(2)]])
    label = torch.tensor([1, 0])
    sigmoid = true_class_probability(FocalLoss(), logits, label, 3)
    assert sigmoid.tolist() == pytest.approx([0.75, 0.5])
    softmax = true_class_probability(CrossEntropyLoss(), logits, label, 2)
    assert softmax.tolist() == pytest.approx([0.6, 0.25])


def test_losses_with_an_activation_of_their_own_are_asked():
    loss = SeesawLoss(num_classes=2)
    # Two classes, then object and background.
    logits = torch.tensor([[0.0, math.log(3), 0.0, 0.0], [0.0, 0.0, -9.0, 9.0]])
    label = torch.tensor([1, 0])
    found = true_class_probability(loss, logits, label, 2)
    assert found.tolist() == pytest.approx([0.375, 0], abs=1e-6)
    assert hits(False)(loss, logits, label, 2).tolist() == [1, 1]
    assert hits(True)(loss, logits, label, 2).tolist() == [0, 0]


def meter_of(loss, judge=true_class_probability, only_training=True):
    return AccuracyMeter({"loss": loss}, 3, judge, only_training)


def test_training_calls_count_and_others_do_not():
    loss = FocalLoss()
    meter = meter_of(loss)
    with meter.listening():
        loss(scores(), LABELS, torch.tensor([1.0, 1, 0, 1]), avg_factor=2.0)
        with torch.no_grad():
            loss(scores(), LABELS)
        loss(scores(), LABELS, reduction_override="none")
        loss.eval()(scores(), LABELS)
        loss.train()
        meter.is_paused = True
        loss(scores(), LABELS)
    meter.is_paused = False
    loss(scores(), LABELS)
    meter.collect()
    sigmoid = torch.tensor([3.0, -1.0, 2.0]).sigmoid().tolist()
    wanted = [(sigmoid[0] + sigmoid[1]) / 2, NAN, sigmoid[2]]
    assert meter.accuracy() == pytest.approx(wanted, nan_ok=True)
    assert np.isnan(meter.accuracy()).all()  # it starts anew


def test_a_pass_without_gradient_counts_on_request():
    loss = FocalLoss().eval()
    meter = meter_of(loss, hits(False), only_training=False)
    with meter.listening(), torch.no_grad():
        loss(scores(), LABELS)
        loss(scores(), torch.tensor([1, 2, 3, 0]), reduction_override="none")
        loss(scores(), torch.tensor([1, 2, 3, 0]))
    meter.collect()
    assert meter.accuracy().tolist() == [1, 0.5, 1]


@pytest.mark.parametrize(
    ("loss", "arguments"),
    [
        (CrossEntropyLoss(), dict(label=LABELS, weight=torch.ones(4))),
        (QualityFocalLoss(), dict(target=(LABELS, torch.ones(4)))),
        (VarifocalLoss(), dict(target=one_hot([0, 2, 1, 0], 3))),
    ],
)
def test_names_of_the_arguments_are_those_of_the_loss(loss, arguments):
    meter = meter_of(loss, hits(False))
    with meter.listening():
        loss(scores(4 if isinstance(loss, CrossEntropyLoss) else 3), **arguments)
    meter.collect()
    assert meter.accuracy().tolist() == [1, 1, 1]


class Head(nn.Module):
    def __init__(self, num_classes, loss_cls):
        super().__init__()
        self.num_classes = num_classes
        self.loss_cls = loss_cls


def test_heads_of_other_classes_are_left_out():
    shared, own, rpn = FocalLoss(), FocalLoss(), FocalLoss()
    heads = nn.ModuleList([Head(3, shared), Head(3, shared), Head(3, own)])
    model = nn.ModuleDict(dict(rpn_head=Head(1, rpn), heads=heads))
    found = class_losses(model, 3)
    assert found == {"heads.0.loss_cls": shared, "heads.2.loss_cls": own}
    with pytest.raises(ValueError, match=r"5 classes .*\['rpn_head \(Head\)', 'heads"):
        class_losses(model, 5)
    with pytest.raises(ValueError, match="its other heads with one: none"):
        class_losses(nn.Identity(), 5)


def test_average_precision_by_class():
    metrics = {
        "coco/bbox_mAP": 0.3,
        "coco/cat_precision": 0.25,
        "coco/a/b_precision": "0.5",
        "coco/dog_precision": NAN,
        "coco/emu_precision": -1.0,
        "other/cat_precision": 0.9,
        "fox_precision": np.float64(1.5),
    }
    classes = ("cat", "dog", "emu", "a/b", "fox", "gnu")
    found = accuracy_of_metrics(metrics, classes)
    assert found == pytest.approx([0.25, NAN, NAN, 0.5, 1, NAN], nan_ok=True)
    with pytest.raises(ValueError, match=r"`classwise=True`.*\['coco/bbox_mAP'\]"):
        accuracy_of_metrics({"coco/bbox_mAP": 0.3}, classes)
