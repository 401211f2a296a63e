"""What a loss call and a validation tell about the accuracy of each class."""

import copy
import io
import math
import pickle

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
from torch.utils._python_dispatch import TorchDispatchMode

from imb_det import losses
from imb_det.difficulty.accuracy_meter import AccuracyMeter
from imb_det.difficulty.class_accuracy import (
    accuracy_of_metrics,
    hits,
    rows_of,
    true_class_probability,
)
from imb_det.difficulty.loss_meter import class_losses

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
    logits, found, counted = rows_of(scores(), label, weight, 3)
    assert logits.tolist() == [row[:3] for row in LOGITS]
    assert counted.nonzero().flatten().tolist() == rows
    assert found[rows].tolist() == [[0, 1, 2, 1][row] for row in rows]
    assert found.min() >= 0
    assert found.max() < 3
    assert not logits.requires_grad


def test_scores_of_more_dimensions_and_none():
    label = one_hot([0, None, 2, 1], 3).reshape(2, 2, 3)
    logits, found, counted = rows_of(scores().reshape(2, 2, 3), label, label, 3)
    assert logits.tolist() == [row[:3] for row in LOGITS]
    assert counted.tolist() == [True, False, True, True]
    assert found[counted].tolist() == [0, 2, 1]
    for empty in (torch.zeros(0, dtype=torch.long), torch.zeros(0, 3)):
        logits, found, counted = rows_of(torch.zeros(0, 3), empty, None, 3)
        assert logits.shape == (0, 3)
        assert found.shape == counted.shape == (0,)


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


def both_heads(loss):
    """The loss in a dense head, and in an RoI head."""
    other = copy.deepcopy(loss)
    other.get_cls_channels(3)
    return [loss, other]


@pytest.mark.parametrize(
    "loss",
    [
        *both_heads(losses.FocalLoss()),
        *both_heads(losses.CrossEntropyLoss()),
        *both_heads(losses.GumbelLoss()),
        *both_heads(losses.LogitClipLoss(losses.CrossEntropyLoss(), tau=2.0)),
    ],
    ids=[
        name + place
        for name in ("sigmoid", "softmax", "gumbel", "clipped")
        for place in ("", "-roi")
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_own_losses_give_a_column_of_their_activation(loss, dtype):
    torch.manual_seed(0)
    logits = 5 * torch.randn(50, 3 if loss.use_sigmoid else 4).to(dtype)
    label = torch.arange(50) % 3
    wanted = loss.get_activation(logits.float())[torch.arange(50), label]
    found = true_class_probability(loss, logits, label, 3)
    torch.testing.assert_close(found, wanted)


class HalvedFocalLoss(losses.FocalLoss):
    def get_activation(self, cls_score):
        return super().get_activation(cls_score) / 2


def test_background_competes_in_dense_softmax_heads_too():
    # Such a head predicts without the background column, but trains with it.
    loss = losses.CrossEntropyLoss(use_sigmoid=False)
    logits = torch.tensor([[1.0, 0.0, 2.0], [3.0, 0.0, 2.0]])
    label = torch.tensor([0, 0])
    assert hits(True)(loss, logits, label, 2).tolist() == [0, 1]
    assert hits(False)(loss, logits, label, 2).tolist() == [1, 1]


@pytest.mark.parametrize("in_roi_head", [False, True])
def test_the_best_class_is_that_of_the_predictions(in_roi_head):
    # 4 x 1 of a rare class exceeds 0.5 x 6 of a frequent one, and 3 of background.
    loss = losses.IIFLoss(weight=[0.5, 4.0])
    wrapped = losses.LogitClipLoss(losses.IIFLoss(weight=[0.5, 4.0]), tau=100.0)
    logits = torch.tensor([[6.0, 1, 3], [6, 1, 5], [6, -1, 4]])
    for found in (loss, wrapped):
        if in_roi_head:
            found.get_cls_channels(2)
        judged = {
            flag: [
                hits(flag)(found, logits, torch.full((3,), label), 2).tolist()
                for label in (0, 1)
            ]
            for flag in (False, True)
        }
        assert judged[False] == [[0, 0, 1], [1, 1, 0]]
        assert judged[True] == [[0, 0, 0], [1, 0, 0]]


def test_classes_are_compared_where_background_leaves_nothing_of_them():
    loss = losses.IIFLoss(weight=[1.0, 1.0])
    logits = torch.tensor([[-1.0, 1.0, 300.0]])  # exp(-300) is no float32
    assert hits(False)(loss, logits, torch.tensor([1]), 2).all()


def test_an_own_loss_with_another_activation_is_asked():
    logits = torch.tensor([[0.0, math.log(3), 0.0]])
    found = true_class_probability(HalvedFocalLoss(), logits, torch.tensor([1]), 3)
    assert found.tolist() == pytest.approx([0.375])


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


def only_heard(loss):
    """Leave the loss as it is, but for its arithmetic."""
    loss.forward = lambda pred, target, weight=None: pred.sum()
    return loss


LISTENED = [
    (FocalLoss, {}, 3),
    (CrossEntropyLoss, {}, 4),
    (SeesawLoss, dict(num_classes=3), 5),
    (losses.FocalLoss, {}, 3),
    (losses.CrossEntropyLoss, {}, 4),
]


@pytest.mark.parametrize("judge", [true_class_probability, hits(False), hits(True)])
@pytest.mark.parametrize(("kind", "arguments", "num_columns"), LISTENED)
def test_rows_that_do_not_count_may_hold_anything(kind, arguments, num_columns, judge):
    torch.manual_seed(0)
    logits = torch.randn(9, num_columns)
    label = torch.tensor([0, 3, 1, -1, 2, 2, 0, 255, 1])
    weight = torch.tensor([1.0, 1, 1, 1, 0, 1, 0, 1, 1])
    counts = [0, 2, 5, 8]
    others = [1, 3, 4, 6, 7]
    broken = logits.clone()
    broken[others] = torch.tensor([NAN, math.inf, -math.inf, NAN, 1e38])[:, None]
    found = []
    for rows in (logits[counts], broken):
        loss = only_heard(kind(**arguments))
        meter = meter_of(loss, judge)
        picked = counts if len(rows) == 4 else slice(None)
        with meter.listening():
            loss(rows.requires_grad_(), label[picked], weight[picked])
        meter.collect()
        assert meter.total[1].tolist() == [1, 2, 1]
        found.append(meter.accuracy())
    assert found[1] == pytest.approx(found[0])


class NoWaiting(TorchDispatchMode):
    """Refuses what makes the host wait for the GPU."""

    refused = ("nonzero", "_local_scalar_dense", "masked_select", "unique", "bincount")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        masks = args[1] if name in ("index", "index_put", "index_put_") else ()
        is_mask = any(m is not None and m.dtype == torch.bool for m in masks)
        if is_mask or name.startswith(self.refused):
            raise AssertionError(f"the host would wait for {func}")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "act",
    [
        lambda x: x[x > 0],
        lambda x: x.index_put((x > 0,), x[0]),
        lambda x: x.sum().item(),
        lambda x: bool(x.any()),
        torch.nonzero,
    ],
)
def test_the_guard_knows_what_waits(act):
    with NoWaiting(), pytest.raises(AssertionError, match="would wait"):
        act(torch.ones(3))


@pytest.mark.parametrize("dense", [False, True], ids=["classes", "one-hot"])
@pytest.mark.parametrize(("kind", "arguments", "num_columns"), LISTENED)
def test_the_host_waits_for_nothing(kind, arguments, num_columns, dense):
    loss = only_heard(kind(**arguments))
    meter = meter_of(loss)
    pred = torch.ones(4, num_columns, requires_grad=True)
    target = one_hot([0, 2, None, 0], 3) if dense else torch.tensor([0, 2, 3, 0])
    with meter.listening(), NoWaiting():
        loss(pred, target, weight=torch.tensor([1.0, 1, 1, 0]))
        loss(pred[:0], target[:0], weight=torch.ones(0))
    meter.collect()
    assert meter.total[1].tolist() == [1, 0, 1]


def by_pickle(model):
    return pickle.loads(pickle.dumps(model))


def by_file(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("copied", [copy.deepcopy, by_pickle, by_file])
def test_a_copy_of_a_model_is_not_listened_to(copied):
    model = nn.ModuleDict(dict(head=Head(3, FocalLoss())))
    loss = model["head"].loss_cls
    meter = meter_of(loss)
    with meter.listening():
        other = copied(model)["head"].loss_cls
        assert other(scores(), LABELS) == loss(scores(), LABELS)
    # Nor does it carry a meter of its own.
    assert [hook.meter for hook in other._forward_pre_hooks.values()] == [None]
    assert not loss._forward_pre_hooks
    meter.collect()
    assert meter.total[1].tolist() == [2, 1, 1]


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
