"""Matching by the probabilities that a loss trains."""

import math

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from imb_det.checks import check_loss_callers
from imb_det.core import CheckContext, Stage
from imb_det.losses import bind_losses
from imb_det.registry import TASK_UTILS
from tests.contracts import query_heads as heads
from tests.contracts.cases import STATS
from tests.toys import MODELS

FOCAL, CLASSES = "AdjustedFocalLossCost", "AdjustedClassificationCost"
BOXES = [dict(type="BBoxL1Cost", weight=5.0), dict(type="IoUCost", weight=2.0)]


def loss_of(kind, **options):
    loss = MODELS.build(dict(type=f"imb_det.{kind}", **options))
    for part in loss.modules():
        if hasattr(part, "set_class_stats"):
            part.set_class_stats(STATS)
    return loss


def cost_of(kind, loss=None, **options):
    cost = TASK_UTILS.build(dict(type=f"imb_det.{kind}", **options))
    if loss is not None:
        cost.set_loss(loss, 3)
    return cost


def costs(cost, logits, labels):
    return cost(InstanceData(scores=logits), InstanceData(labels=torch.tensor(labels)))


def test_by_hand():
    """Of logits 0 the classes have 0.75, 0.25 and, beside them, 1 of background."""
    loss = MODELS.build(dict(type="imb_det.LogitAdjustmentLoss", prior=[0.75, 0.25]))
    cost = TASK_UTILS.build(dict(type=f"imb_det.{CLASSES}", weight=2.0))
    cost.set_loss(loss, 2)
    found = costs(cost, torch.zeros(1, 3), [0, 1, 0])
    torch.testing.assert_close(found, torch.tensor([[-0.75, -0.25, -0.75]]))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("LogitAdjustmentLoss", dict(tau=0.5)),
        ("LogitAdjustmentLoss", dict(prior="rows", background="count")),
        ("VSLoss", dict(gamma=0.5)),
        ("LDAMLoss", {}),
        ("EBLLoss", {}),
    ],
    ids=str,
)
def test_the_cost_is_the_probability_that_the_loss_is_of(kind, options):
    loss = loss_of(kind, use_sigmoid=False, **options)
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    found = costs(cost_of(CLASSES, loss), logits, [2, 0, 1])
    for column, label in enumerate([2, 0, 1]):
        rows = torch.full((6,), label)
        wanted = (-loss(logits, rows, reduction_override="none")).exp()
        torch.testing.assert_close(-found[:, column], wanted)


def test_a_sigmoid_is_shifted_as_in_rows_of_an_object():
    loss = loss_of("BalancedSoftmaxLoss", use_sigmoid=True)
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    share = torch.tensor(STATS.image_count) / STATS.num_images
    shifted = logits + torch.logit(share).float()
    plain = TASK_UTILS.build(dict(type="mmdet.FocalLossCost", weight=2.0))
    found = costs(cost_of(FOCAL, loss, weight=2.0), logits, [1, 2, 1])
    torch.testing.assert_close(found, costs(plain, shifted, [1, 2, 1]))
    assert not torch.allclose(found, costs(plain, logits, [1, 2, 1]))


def test_without_a_shift_it_is_mmdets():
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    loss = loss_of("VSLoss", gamma=0.0, tau=0.0)
    plain = TASK_UTILS.build(dict(type="mmdet.ClassificationCost"))
    found = costs(cost_of(CLASSES, loss), logits, [0, 2])
    torch.testing.assert_close(found, costs(plain, logits, [0, 2]))


def head_with(cost, loss, kind="DABDETRHead"):
    assigner = dict(
        type="HungarianAssigner", match_costs=[dict(type=f"imb_det.{cost}"), *BOXES]
    )
    train_cfg = ConfigDict(assigner=assigner)
    return heads.build(kind, loss, train_cfg=train_cfg)


def test_heads_hand_their_loss_over():
    loss = dict(type="imb_det.BalancedSoftmaxLoss", use_sigmoid=True)
    head = head_with(FOCAL, loss)
    with pytest.raises(RuntimeError, match=r"imb_det\.ImbalanceHook"):
        heads.losses_of("DABDETRHead", head)
    assert not list(check_loss_callers(CheckContext(model=head)))
    bind_losses(head)
    losses = heads.losses_of("DABDETRHead", head)
    assert all(value.isfinite() for value in losses.values())


@pytest.mark.parametrize(
    ("cost", "loss", "words"),
    [
        (FOCAL, dict(type="imb_det.FocalLoss"), "trains the logits as they are"),
        (FOCAL, dict(type="mmdet.FocalLoss"), "is no loss of imb_det"),
        (CLASSES, dict(type="imb_det.BalancedSoftmaxLoss"), "AdjustedFocalLossCost"),
        (FOCAL, dict(type="imb_det.GumbelLoss"), "other probabilities; write"),
        (
            FOCAL,
            dict(type="imb_det.ABSGDLoss", loss=dict(type="imb_det.FocalLoss")),
            "around others",
        ),
    ],
    ids=lambda x: str(x)[:40],
)
def test_losses_that_shift_nothing_are_refused(cost, loss, words):
    head = head_with(cost, dict(loss, use_sigmoid=True))
    (found,) = check_loss_callers(CheckContext(model=head))
    assert found.code == "matching_cost"
    assert words in found.evidence
    assert "DABDETRHead" in found.where


STAGES = ("first", "last")


@pytest.mark.parametrize(
    "numbers",
    [
        dict(prior=dict(stages=dict(first=[0.2, 0.3, 0.5], last="images"))),
        dict(class_weight=dict(stages=dict(first=None, last="inverse"))),
    ],
    ids=lambda numbers: next(iter(numbers)),
)
def test_numbers_that_change_with_the_stage(numbers):
    """Heads are told of the loss before it is told of the first stage."""
    loss = loss_of("LogitAdjustmentLoss", use_sigmoid=False, **numbers)
    cost = cost_of(CLASSES, loss)
    logits = torch.zeros(1, 4)
    found = []
    for index, name in enumerate(STAGES):
        for part in loss.modules():
            if hasattr(part, "set_stage"):
                part.set_stage(Stage(name, index, STAGES))
        found.append(costs(cost, logits, [0, 1, 2]))
        fresh = cost_of(CLASSES, loss)
        torch.testing.assert_close(costs(fresh, logits, [0, 1, 2]), found[-1])
    assert torch.equal(*found) == ("class_weight" in numbers)


def test_weights_by_stages_shift_no_logits():
    weights = dict(class_weight=dict(stages=dict(first=None, last="inverse")))
    loss = loss_of("CrossEntropyLoss", use_sigmoid=False, **weights)
    with pytest.raises(ValueError, match="trains the logits as they are"):
        cost_of(CLASSES, loss)
    with pytest.raises(RuntimeError, match="nothing tells the stage"):
        loss(torch.zeros(1, 4), torch.tensor([0]))


def test_a_rare_class_needs_more_to_be_matched():
    """Two queries of the same boxes: plain scores and trained ones choose differently.

    The rare class is the less likely one by the trained probability of the first.
    """
    loss = loss_of("BalancedSoftmaxLoss", use_sigmoid=True)
    cost = cost_of(FOCAL, loss)
    at = costs(cost, torch.zeros(1, 3), [0, 2])[0]
    assert at[0] < at[1]  # the frequent class is matched first
    shift = math.log(1 / 6 / (1 - 1 / 6))
    plain = TASK_UTILS.build(dict(type="mmdet.FocalLossCost"))
    wanted = costs(plain, torch.full((1, 3), shift), [2])[0]
    torch.testing.assert_close(at[1:], wanted)
