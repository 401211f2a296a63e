"""Heads of several experts: the plain head with one, means of them with more."""

import pytest
import torch
from torch import nn

from imb_det.calibration import Calibration, classifier_outputs
from imb_det.checks import check_classifiers
from imb_det.core import CheckContext
from imb_det.merging.class_rows import class_rows
from tests.contracts.head_cases import features
from tests.test_heads.guided_cases import BoxCase
from tests.toys import MODELS

CE = dict(type="imb_det.CrossEntropyLoss")
PRIOR = [50.0, 7.0, 1.0]
LA = dict(type="imb_det.LogitAdjustmentLoss", prior=PRIOR)
BCE = dict(type="imb_det.CrossEntropyLoss", use_sigmoid=True)
NAMES = ("two", "one", "empty")
KIND = "imb_det.MultiExpertShared2FCBBoxHead"


def head_of(losses, **options):
    case = BoxCase("Shared2FCBBoxHead")
    return case.build(KIND, loss_cls=None, losses=losses, **options).double()


def plain(loss):
    return (
        BoxCase("Shared2FCBBoxHead").build("Shared2FCBBoxHead", loss_cls=loss).double()
    )


def targets(scores):
    rois, labels, weights, boxes, box_weights = BoxCase("Shared2FCBBoxHead").targets(
        NAMES
    )
    weights = weights.double()
    weights[::5] = 0
    return rois, labels, weights, boxes, box_weights


@pytest.mark.parametrize("loss", [CE, LA, BCE], ids=["softmax", "adjusted", "sigmoid"])
@pytest.mark.parametrize("average", ["logits", "probabilities"])
def test_one_expert_is_the_plain_head_bit_for_bit(loss, average):
    one, other = head_of([loss], average=average), plain(loss)
    torch.manual_seed(5)
    one.init_weights()
    torch.manual_seed(5)
    other.init_weights()
    x = features(BoxCase("Shared2FCBBoxHead"), NAMES)[0].double()
    found, wanted = one(x), other(x)
    for a, b in zip(found, wanted, strict=True):
        assert torch.equal(a, b)
    for override in (None, "none"):
        losses = one.loss(*found, *targets(found), reduction_override=override)
        expected = other.loss(*wanted, *targets(wanted), reduction_override=override)
        assert losses.keys() == expected.keys()
        for name in losses:
            assert torch.equal(losses[name], expected[name]), name
    assert torch.equal(
        one.loss_cls.get_activation(found[0]), other.loss_cls.get_activation(wanted[0])
    )


@pytest.mark.parametrize("average", ["logits", "probabilities"])
@pytest.mark.parametrize("weights", [None, [3, 1]])
def test_predictions_are_the_mean_of_the_experts(average, weights):
    head = head_of([CE, LA], average=average, weights=weights)
    z = torch.randn(6, 8).double()
    first, second = z[:, :4], z[:, 4:]
    a, b = (0.5, 0.5) if weights is None else (0.75, 0.25)
    expected = (a * first + b * second).softmax(1)
    if average == "probabilities":
        expected = a * first.softmax(1) + b * second.softmax(1)
    torch.testing.assert_close(head.loss_cls.get_activation(z), expected)
    right = expected.argmax(1)
    assert head.loss_cls.get_accuracy(z, right)["acc"].item() == 100
    wrong = (right + 1) % 4
    assert head.loss_cls.get_accuracy(z, wrong)["acc"].item() == 0


def test_sigmoid_experts():
    head = head_of([BCE, BCE])
    z = torch.randn(6, 6).double()
    expected = ((z[:, :3] + z[:, 3:]) / 2).sigmoid()
    scores = head.loss_cls.get_activation(z)
    torch.testing.assert_close(scores[:, :3], expected)
    assert not scores[:, 3].any()


def test_the_loss_is_the_sum_row_by_row_too():
    head = head_of([CE, LA])
    x = features(BoxCase("Shared2FCBBoxHead"), NAMES)[0].double()
    scores, boxes = head(x)
    given = targets(scores)
    parts = [
        MODELS.build(loss)(part, given[1], given[2], reduction_override="none")
        for loss, part in zip([CE, LA], scores.chunk(2, 1), strict=True)
    ]
    rows = head.loss(scores, boxes, *given, reduction_override="none")["loss_cls"]
    assert rows.shape == (len(scores),)  # as OHEM asks for
    torch.testing.assert_close(rows, parts[0] + parts[1])
    losses = head.loss(scores, boxes, *given)
    together = losses["expert0_cls"] + losses["expert1_cls"]
    torch.testing.assert_close(losses["loss_cls"], together)
    assert not losses["expert0_cls"].requires_grad
    losses["loss_cls"].backward()
    halves = head.fc_cls.weight.grad.chunk(2)
    assert all(half.abs().sum() > 0 for half in halves)


def test_each_expert_is_calibrated():
    head = head_of([CE, LA])
    model = nn.Sequential()
    model.add_module("bbox_head", head)
    (output,) = classifier_outputs(model)
    assert (output.channels, output.num_classes, output.exclusive) == (4, 3, True)
    x = torch.randn(5, 8).double()
    before = head.fc_cls(x)
    shift = dict(type="imb_det.NorCal", gamma=1.0, counts=PRIOR)
    calibration = Calibration([shift])
    calibration.attach(model)
    model.eval()
    after = head.fc_cls(x)
    calibration.detach(model)
    expected = before.clone()
    for start in (0, 4):
        expected[:, start : start + 3] -= torch.tensor(PRIOR).double().log()
    torch.testing.assert_close(after, expected)
    rows = class_rows("roi_head.bbox_head.fc_cls.weight", 8, 3, 1)
    assert rows.index(1).tolist() == [1, 5]


def test_experts_start_at_the_bias_of_their_loss():
    head = head_of([BCE, dict(type="imb_det.FederatedLoss", num=2)])
    head.init_weights()
    first, second = head.fc_cls.bias.chunk(2)
    assert not first.any()
    assert (second < -6).all()


def test_cosines_are_asked_for():
    head = head_of([CE, dict(type="imb_det.LDAMLoss")], average="probabilities")
    (found,) = check_classifiers(CheckContext(model=nn.Sequential(head)))
    assert "LDAMLoss" in found.evidence
    cosine = dict(type="imb_det.NormedLinear", temperature=1, bias=False)
    head = head_of(
        [CE, dict(type="imb_det.LDAMLoss")],
        average="probabilities",
        cls_predictor_cfg=cosine,
    )
    assert not list(check_classifiers(CheckContext(model=nn.Sequential(head))))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (dict(losses=[]), "`losses` must be a list of losses"),
        (dict(losses=CE), "`losses` must be a list of losses"),
        (dict(losses=[dict(type="CrossEntropyLoss")]), r"`losses\[0\]` must be"),
        (dict(losses=[CE, BCE]), r"`losses\[1\]`, CrossEntropyLoss, has other outputs"),
        (dict(losses=[CE], average="votes"), "`average` must be one of"),
        (dict(losses=[CE], weights=[1, 2]), "`weights` must be 1 numbers"),
        (dict(losses=[CE], weights=[-1]), "`weights` must be 1 numbers"),
        (dict(losses=[CE], weights=0.5), "`weights` must be a list"),
        (dict(losses=[CE], loss_cls=CE), "`loss_cls` must be None"),
    ],
)
def test_bad_arguments_are_named(options, match):
    case = BoxCase("Shared2FCBBoxHead")
    with pytest.raises((TypeError, ValueError), match=match):
        case.build(KIND, **{"loss_cls": None, **options})
