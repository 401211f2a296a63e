"""What losses of the long tail learn from, draw, and weigh by: rows, and counts."""

import math

import pytest
import torch

from imb_det.losses import flush_statistics
from tests.test_losses.test_identities import TAIL, C, build, make_logits


@pytest.mark.parametrize(
    ("kind", "arguments"), [("DropLoss", {}), ("GumbelLoss", dict(drop=True))]
)
def test_the_share_of_rare_rows_is_that_of_rows_that_count(kind, arguments):
    loss = build(kind, tail=[0, 1, 0, 0], **arguments)
    labels = torch.tensor([0, 1, 1, 1, -1, C])
    weight = torch.tensor([1.0, 0.0, 2.0, 0.0, 1.0, 1.0])
    loss(make_logits(loss, 6), labels, weight)
    flush_statistics(loss)
    rows, rare = loss.tail.foreground.value.tolist()
    assert rare / rows == pytest.approx(0.5)


def negatives(loss, labels, weight=None):
    """Which classes are negatives of the last row, of background."""
    logits = torch.zeros(len(labels), C, requires_grad=True)
    weight = None if weight is None else torch.tensor(weight)
    labels = torch.tensor(labels)
    return loss(logits, labels, weight, reduction_override="none")[-1] > 0


def test_a_row_of_no_weight_brings_its_class_into_no_federation():
    loss = build("FederatedLoss", num=1, weight=[0.0, 1.0, 0.0, 0.0])
    assert negatives(loss, [3, C]).tolist() == [False, False, False, True]
    for labels, weight in (([3, C], [0.0, 1.0]), ([-1, C], None)):
        found = negatives(loss, labels, weight)
        assert found.tolist() == [False, True, False, False]


def test_a_class_of_weight_nothing_is_never_drawn():
    loss = build("FederatedLoss", num=3, weight=[1.0, 0.0, 0.0, 1.0])
    assert negatives(loss, [C]).tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    ("weight", "of"),
    [
        ("raw", lambda n: math.log(80 / n)),
        ("smooth", lambda n: math.log(81 / (n + 1)) + 1),
        ("base2", lambda n: math.log2(80 / n)),
        ("base10", lambda n: math.log10(80 / n)),
    ],
)
def test_inverse_image_frequencies(weight, of):
    loss = build("IIFLoss", weight=weight)
    factor = loss.link.factor(torch.zeros(1, C + 1))
    wanted = [*map(of, TAIL.image_count.tolist()), 1.0]
    assert factor.tolist() == pytest.approx(wanted, rel=1e-6)
