"""Balanced group softmax: groups, draws and probabilities."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F

from imb_det.losses import (
    BalancedGroupSoftmaxLoss,
    flush_statistics,
    grouped_softmax,
    manage_statistics,
)
from imb_det.losses.terms import Terms
from imb_det.statistics import ClassStats

COUNTS = [0, 9, 10, 99, 100, 999, 1000, 5000]
NAMES = tuple("abcdefgh")


def build(counts=COUNTS, **arguments):
    """A loss as it is after training has started."""
    loss = BalancedGroupSoftmaxLoss(**arguments)
    names = NAMES[: len(counts)]
    loss.link.groups.set_class_stats(ClassStats(names, counts, counts, 10_000))
    manage_statistics(loss)
    return loss


def factors(loss, labels, **weight):
    """The factor of each row in each group."""
    classes = len(loss.link.groups.value)
    logits = torch.zeros(len(labels), loss.get_cls_channels(classes))
    found = []
    kernel = loss.link.kernel

    def spy(terms, *args):
        found.append(terms.part)
        return kernel(terms, *args)

    loss.link.kernel = spy
    loss(logits.requires_grad_(), torch.tensor(labels), **weight)
    del loss.link.kernel
    return found[0]


def test_groups_begin_at_the_edges():
    loss = build()
    assert loss.link.groups.value.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert loss.get_cls_channels(8) == 8 + 4 + 2
    assert build(edges=()).link.groups.value.tolist() == [0] * 8


def test_hand_worked():
    # Classes a and b of group 0, c of group 1, two "others", foreground, background.
    logits = torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0, 1.0, 0.0]]).log1p()
    loss = build([5, 5, 50], edges=(10,), average="rows", beta=math.inf)
    row = loss(logits, torch.tensor([2]), reduction_override="none")
    # Group 1: 3 / (3 + 5), foreground: 2 / (2 + 1); group 0 has no row of its own.
    assert row.item() == pytest.approx(-math.log(3 / 8) - math.log(2 / 3))
    row = loss(logits, torch.tensor([0]), reduction_override="none")
    # Group 0: 1 / (1 + 2 + 4).
    assert row.item() == pytest.approx(-math.log(1 / 7) - math.log(2 / 3))
    loss.get_cls_channels(3)
    wanted = [2 / 3 * 1 / 7, 2 / 3 * 2 / 7, 2 / 3 * 3 / 8, 1 / 3]
    assert loss.get_activation(logits)[0].tolist() == pytest.approx(wanted)


def test_one_group_is_objectness_times_softmax():
    loss = build([5, 5, 50], edges=(), average="rows", beta=math.inf)
    logits, labels = torch.randn(6, 6).double(), torch.tensor([0, 1, 2, 3, 3, 1])
    rows = loss(logits, labels, reduction_override="none")
    inner, objectness = logits[:, :4], logits[:, 4:]  # background is "others"
    wanted = F.cross_entropy(inner, labels, reduction="none")
    wanted += F.cross_entropy(objectness, (labels == 3).long(), reduction="none")
    torch.testing.assert_close(rows, wanted)
    loss.get_cls_channels(3)
    scores = inner.softmax(1)[:, :3] * objectness.softmax(1)[:, :1]
    torch.testing.assert_close(loss.get_activation(logits)[:, :3], scores)


def test_others_are_drawn():
    loss = build(beta=2.5)
    labels = [0, 1, 2, *[8] * 40]  # two of group 0, one of group 1, background
    part = factors(loss, labels)
    taken = part > 0
    assert taken.sum(0).tolist() == [2 + 5, 1 + 2, 0, 0]
    assert taken[:3, 0].tolist()[:2] == [True, True]
    assert taken[2, 1]
    # Each group is divided by the rows that it takes.
    torch.testing.assert_close(part.sum(0), torch.tensor([43.0, 43, 0, 0]).double())
    again = factors(copy.deepcopy(loss), labels)
    assert torch.equal(part, again)  # in the same step
    flush_statistics(loss)
    later = factors(loss, labels)
    assert not torch.equal(part, later)
    assert (later > 0).sum(0).tolist() == [7, 3, 0, 0]
    assert not torch.equal(factors(build(beta=2.5, seed=1), labels), part)


def test_draws_go_on_after_a_checkpoint():
    loss, labels = build(beta=1), [0, *[8] * 40]
    for _ in range(3):
        factors(loss, labels)
        flush_statistics(loss)
    resumed = build(beta=1)
    resumed.load_state_dict(loss.state_dict())
    assert torch.equal(factors(loss, labels), factors(resumed, labels))


def test_draws_are_fair():
    loss, labels = build(beta=4), [0, *[8] * 16]
    taken = torch.zeros(17)
    for _ in range(200):
        taken += (factors(loss, labels) > 0)[:, 0]
        flush_statistics(loss)
    assert taken[0] == 200
    assert taken[1:].sum() == 4 * 200
    # 50 each, with a deviation of sqrt(200 / 4 * 3 / 4) = 6.1.
    assert (taken[1:] - 50).abs().max() < 25


def test_rows_that_do_not_count_are_not_drawn():
    weight = torch.ones(43)
    weight[:20] = 0
    labels = [2, *[8] * 19, 0, *[-1] * 10, *[8] * 12]
    part = factors(build(beta=100), labels, weight=weight)
    assert (part > 0).sum(0).tolist() == [13, 0, 0, 0]
    assert (part[21:31] == 0).all()
    whole = factors(build(beta=100, sampled=False), labels, weight=weight)
    assert torch.equal(whole > 0, part > 0)


@pytest.mark.parametrize("low", [0.0, 150.0, 1e4])
def test_groups_far_below_others(low, monkeypatch):
    logits = (8 * torch.randn(5, 14).double()).round() / 8  # exact in float32
    logits[:, 6:8] -= low  # group 3
    logits[:, 11] -= low
    labels = torch.tensor([6, 0, 8, 7, 3])
    loss = build(beta=math.inf)
    wanted = loss(logits, labels, reduction_override="none")
    loss.get_cls_channels(8)
    for dtype in (torch.float64, torch.float32):
        z = logits.to(dtype).requires_grad_()
        found = loss(z, labels, reduction_override="none")
        torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)
        slope = torch.autograd.grad(found.sum(), z)[0]
        with monkeypatch.context() as context:  # as on a GPU
            context.setattr(grouped_softmax, "can_look", lambda x: False)
            found = loss(z, labels, reduction_override="none")
            scores = loss.get_activation(z)
        torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(torch.autograd.grad(found.sum(), z)[0], slope)
        torch.testing.assert_close(loss.get_activation(z), scores)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (dict(edges=(10, 10)), r"`edges` must increase"),
        (dict(edges=(0, 10)), r"`edges` must be in \(0"),
        (dict(edges=10), r"`edges` must be a list of numbers"),
        (dict(groups=[0, 0.5]), r"whole number of the group"),
        (dict(groups=None), r"whole number of the group"),
        (dict(groups=[0, 4]), r"`groups` must be in \[0, 3"),
        (dict(groups="rows"), r"`groups` must be one of the rules"),
        (dict(beta=-1), r"`beta` must be in"),
        (dict(seed=0.5), r"`seed` must be a whole number"),
        (dict(sampled=1), r"`sampled` must be one of"),
        (dict(average="positives"), r"`average` must be one of"),
        (dict(use_sigmoid=True), r"`use_sigmoid` must be one of"),
    ],
)
def test_bad_arguments(arguments, text):
    with pytest.raises((TypeError, ValueError), match=text):
        BalancedGroupSoftmaxLoss(**arguments)


def test_groups_by_name_and_by_images():
    loss = build([5, 5, 50], groups=dict(a=0, b=2))
    assert loss.link.groups.value.tolist() == [0, 2, 3]
    loss = BalancedGroupSoftmaxLoss(groups="images")
    loss.link.groups.set_class_stats(ClassStats(("a", "b"), [5, 50], [500, 500], 100))
    assert loss.link.groups.value.tolist() == [0, 1]


def test_logits_may_be_scaled_and_shifted():
    link = build(counts=[1, 20], edges=(10,)).link
    numbers = torch.linspace(0.5, 2.0, 6, dtype=torch.float64)
    terms = Terms(scale=numbers, offset=numbers.flip(0))
    logits = torch.linspace(-2.0, 2.0, 18, dtype=torch.float64).reshape(3, 6)
    labels = torch.tensor([0, 1, 2])
    value, slope, _ = link.kernel(terms, logits, labels)
    shifted = link.kernel(Terms(), numbers * logits + numbers.flip(0), labels)[0]
    torch.testing.assert_close(value, shifted)
    step = 1e-6 * torch.cos(torch.arange(18.0)).double().reshape(3, 6)
    after, before = (
        link.kernel(terms, logits + sign * step, labels)[0] for sign in (1, -1)
    )
    torch.testing.assert_close((after - before) / 2, (slope * step).sum(1))
