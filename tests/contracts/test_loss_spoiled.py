"""Logits that are no numbers, where they do not count."""

import copy
import math

import pytest
import torch

from imb_det.losses import ImbalanceLoss, flush_statistics

from .batches import channels, gradient_of, make_batch, one_hot_targets, warm
from .cases import of_activation, one_of_each_loss, with_soft_targets

SPOILED = (1, 4)
SPOILS = (math.nan, math.inf, -math.inf)


each = pytest.mark.parametrize("case", of_activation("softmax", "sigmoid"), ids=str)
each_loss = pytest.mark.parametrize("case", one_of_each_loss(), ids=str)
each_soft = pytest.mark.parametrize("case", with_soft_targets(), ids=str)
each_sigmoid = pytest.mark.parametrize("case", of_activation("sigmoid"), ids=str)
whole_rows = pytest.mark.parametrize("how", ["ignored", "weight 0"])


@each
@whole_rows
def test_what_does_not_count_may_be_anything(case, how):
    same_without_spoils(case, how)


@each_soft
def test_soft_rows_that_do_not_count_may_be_anything(case):
    same_without_spoils(case, "soft")


@each_sigmoid
def test_elements_that_do_not_count_may_be_anything(case):
    same_without_spoils(case, "elements")


@each_loss
def test_that_is_so_among_many_rows(case, small_chunks):
    # Which are taken a part at a time.
    forms = ["ignored", "weight 0"] + ["soft"] * (not case.needs_classes)
    for how in forms + ["elements"] * case.sigmoid:
        same_without_spoils(case, how, many=2 * small_chunks)


def same_without_spoils(case, how, many=0):
    """Compare a call whose spoiled rows do not count with one that has none.

    ``many`` is the least number of elements.
    """
    loss, _ = warm(case)
    logits, labels = make_batch(case, dtype=torch.float32)
    times = many // logits.numel() + 1
    logits = logits.detach().repeat(times, 1).requires_grad_()
    labels = labels.repeat(times)
    weight = torch.ones(len(labels))
    if how == "ignored":
        labels[list(SPOILED)] = -1
    else:
        weight[list(SPOILED)] = 0
    if how == "elements":
        weight = weight[:, None].repeat(1, channels(case))
    if how == "soft":
        labels = one_hot_targets(case, labels).float()
    spoiled = logits.detach().clone()
    for row, column, value in zip(
        (*SPOILED, SPOILED[0]), (0, 1, 2), SPOILS, strict=True
    ):
        spoiled[row, column] = value
    spoiled.requires_grad_()
    again = copy.deepcopy(loss)
    found = loss(spoiled, labels, weight, avg_factor=2.0)
    wanted = again(logits, labels, weight, avg_factor=2.0)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(gradient_of(found, spoiled), gradient_of(wanted, logits))
    for module in (loss, again):
        flush_statistics(module)
    state = again.state_dict()
    assert all(torch.equal(v, state[name]) for name, v in loss.state_dict().items())


def test_hooks_of_the_first_version_are_refused():
    with pytest.raises(
        TypeError, match=r"OldLoss defines \['prepare'\].*`terms\(call\)`"
    ):
        type("OldLoss", (ImbalanceLoss,), {"prepare": lambda self: None})
