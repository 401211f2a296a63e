"""The oracles of the losses, on numbers that a pencil can check."""

import math

import pytest
import torch
from mmdet.models.losses import GHMC, GHMR

from tests.references import cdb_loss, cross_entropy, focal, ghm, quality, reduction

LOG2, LOG3, LOG4 = math.log(2), math.log(3), math.log(4)


def test_logarithms_of_extreme_logits():
    assert cross_entropy.log_sigmoid(-1000.0) == -1000
    assert cross_entropy.log_sigmoid(1000.0) == 0
    assert cross_entropy.log_softmax([1000.0, 0.0]) == [0, -1000]


def test_softmax_rows():
    logits = [[0.0, 0.0], [LOG3, 0.0], [LOG3, 0.0]]  # p = 1/2, 1/2 and 3/4, 1/4
    targets = [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]
    rows = cross_entropy.softmax_rows(logits, targets, [3.0, 2.0])
    soft = 0.5 * 3 * (LOG4 - LOG3) + 0.5 * 2 * LOG4
    assert rows == pytest.approx([3 * LOG2, 2 * LOG4, soft])


def test_sigmoid_elements():
    logits, targets = [[0.0, LOG3]], [[1.0, 0.0]]  # p = 1/2, 3/4
    one = cross_entropy.sigmoid_elements(logits, targets, [2.0, 5.0], both_signs=False)
    both = cross_entropy.sigmoid_elements(logits, targets, [2.0, 5.0], both_signs=True)
    assert one[0] == pytest.approx([2 * LOG2, LOG4])
    assert both[0] == pytest.approx([2 * LOG2, 5 * LOG4])


def test_background_row_has_no_one():
    assert cross_entropy.one_hot(2, 2) == [0, 0]
    assert cross_entropy.one_hot(1, 2) == [0, 1]


def test_mask_rows():
    logits = [[[[9.0, 9.0]], [[0.0, LOG3]]]]  # one RoI, two classes, 1 x 2 pixels
    rows = cross_entropy.mask_rows(logits, [[[1.0, 0.0]]], [1], [7.0, 3.0])
    assert rows == pytest.approx([3 * (LOG2 + LOG4) / 2])


def test_focal_elements():
    logits, targets = [[0.0, LOG3, LOG3]], [[1.0, 0.0, 0.5]]
    (row,) = focal.focal_elements(logits, targets, 2.0, [0.25, 0.25, 0.1])
    # p = 3/4 is 1/4 away from its target.
    soft = 0.1 / 16 * (0.5 * (LOG4 - LOG3) + 0.5 * LOG4)
    assert row == pytest.approx([0.25 / 4 * LOG2, 0.75 * 9 / 16 * LOG4, soft])


def test_quality_elements():
    logits, targets = [[LOG3, LOG3, 0.0]], [[0.5, 0.0, 1.0]]  # p = 3/4, 3/4, 1/2
    half = 0.5 * (LOG4 - LOG3) + 0.5 * LOG4
    (row,) = quality.quality_elements(logits, targets, 2.0, [3.0] * 3, [5.0] * 3)
    assert row == pytest.approx([3 / 16 * half, 5 * 9 / 16 * LOG4, 3 / 4 * LOG2])
    arguments = logits, targets, 2.0, 0.75, [3.0] * 3, [5.0] * 3
    (row,) = quality.varifocal_elements(*arguments, True)
    assert row == pytest.approx([3 / 2 * half, 0.75 * 5 * 9 / 16 * LOG4, 3 * LOG2])
    (row,) = quality.varifocal_elements(*arguments, False)
    assert row == pytest.approx([3 * half, 0.75 * 5 * 9 / 16 * LOG4, 3 * LOG2])


def test_focal_without_focus_is_half_cross_entropy():
    logits, targets = [[0.3, -2.0, 5.0]], [[0.0, 1.0, 0.0]]
    (found,) = focal.focal_elements(logits, targets, 0.0, [0.5] * 3)
    (wanted,) = cross_entropy.sigmoid_elements(logits, targets, [0.5] * 3, True)
    assert found == pytest.approx(wanted)


def test_cdb_loss():
    rows = cdb_loss.softmax_rows([[LOG3, 0.0]], [[1.0, 0.0]], 2.0, [3.0, 1.0])
    assert rows == pytest.approx([3 / 16 * (LOG4 - LOG3)])
    arguments = [[LOG3, LOG3]], [[1.0, 0.0]], 1.0, [3.0, 5.0]
    one = cdb_loss.sigmoid_elements(*arguments, both_signs=False)
    both = cdb_loss.sigmoid_elements(*arguments, both_signs=True)
    assert one[0] == pytest.approx([3 / 4 * (LOG4 - LOG3), 0.75 * LOG4])
    assert both[0] == pytest.approx([3 / 4 * (LOG4 - LOG3), 5 * 0.75 * LOG4])


def test_gradient_norms():
    assert ghm.bce_gradient(LOG3, 0) == pytest.approx(0.75)
    assert ghm.bce_gradient(LOG3, 1) == pytest.approx(0.25)
    assert ghm.asl1(3.0, 4.0) == 1
    assert ghm.asl1_gradient(-3.0, 4.0) == pytest.approx(0.6)


def test_last_bin_is_closed():
    assert [ghm.bin_of(g, 4) for g in (0.0, 0.25, 0.3, 0.75, 1.0)] == [0, 1, 1, 3, 3]


def test_beta():
    counts = ghm.counts_of([0.2, 0.3, 0.7], bins=4)
    assert counts == [1, 1, 1, 0]
    # Three non-empty bins share the weight; elements of a full bin share its part.
    assert ghm.beta_of([0.2, 0.7], [2, 0, 1, 0], 3) == pytest.approx([0.75, 1.5])
    assert ghm.beta_of([0.9], [2, 0, 1, 0], 3, floor=0.5) == pytest.approx([3.0])


def test_one_bin_gives_weight_one():
    assert ghm.CallAverage(5, 0.0).beta([0.5, 0.51, 0.55], 3) == [1, 1, 1]


def test_average_over_calls():
    average = ghm.CallAverage(2, 0.75)
    # S = (0.5, 0.25) after the first call, (0.5, 0.9375) after the second.
    first = average.beta([0.2, 0.3, 0.7], 3)
    assert first == pytest.approx([3.0, 3.0, 6.0])
    assert average.beta([0.8, 0.8, 0.9], 3) == pytest.approx([3 / 0.9375] * 3)


def test_average_over_steps():
    average = ghm.StepAverage(2, 0.75)
    assert average.beta([0.2], floor=1.0) == [1]
    average.end_step([0.2, 0.3, 0.7])
    assert average.averages() == ([2, 1], 3)
    average.end_step([0.8, 0.8, 0.9, 0.9])
    # Shares of the two steps: 3/16 and 4/16 over 7/16.
    counts, total = average.averages()
    assert counts == pytest.approx([6 / 7, 19 / 7])
    assert total == pytest.approx(25 / 7)
    assert average.beta([0.9], floor=0.0) == pytest.approx([25 / 38])


def test_reductions():
    rows = reduction.weighted([[1.0, 2.0], [3.0, 4.0]], [1.0, 0.5])
    assert rows == [[1, 2], [1.5, 2]]
    assert reduction.reduced(rows, "sum") == 6.5
    assert reduction.reduced(rows) == 6.5 / 4
    assert reduction.reduced(rows, "mean", 2) == pytest.approx(6.5 / 2, rel=1e-6)
    assert reduction.weighted([1.0, 2.0], [0.0, 3.0]) == [0, 6]
    assert reduction.weighted(rows, [[1, 0], [2, 1]]) == [[1, 0], [3, 2]]


@pytest.mark.parametrize("momentum", [0, 0.75])
def test_ghm_c_of_mmdet(momentum):
    theirs, ours = GHMC(bins=6, momentum=momentum), ghm.CallAverage(6, momentum)
    for _ in range(2):
        logits = torch.randn(40, 3)
        targets = torch.nn.functional.one_hot(torch.randint(3, (40,)), 3).float()
        weight = (torch.rand(40, 3) > 0.2).float()
        pairs = [
            (z, y)
            for z, y, w in zip(
                *(x.flatten().tolist() for x in (logits, targets, weight)), strict=True
            )
            if w
        ]
        beta = ours.beta([ghm.bce_gradient(*pair) for pair in pairs], len(pairs))
        losses = [b * ghm.bce(*pair) for b, pair in zip(beta, pairs, strict=True)]
        found = theirs(logits, targets, weight).item()
        assert found == pytest.approx(sum(losses) / len(pairs), rel=1e-5)


@pytest.mark.parametrize("momentum", [0, 0.7])
def test_ghm_r_of_mmdet(momentum):
    theirs, ours = (
        GHMR(mu=0.02, bins=5, momentum=momentum),
        ghm.CallAverage(5, momentum),
    )
    for _ in range(2):
        boxes, targets = 0.02 * torch.randn(2, 30, 4).double()
        weight = torch.ones(30, 4)
        weight[25:] = 0
        differences = (boxes - targets)[:25].flatten().tolist()
        norms = [ghm.asl1_gradient(d, 0.02) for d in differences]
        beta = ours.beta(norms, len(norms))
        losses = [b * ghm.asl1(d, 0.02) for b, d in zip(beta, differences, strict=True)]
        found = theirs(boxes, targets, weight).item()
        assert found == pytest.approx(sum(losses) / len(norms), rel=1e-5)
