"""One example of each loss of the long tail, worked out with a pencil."""

import math

import pytest
import torch

from imb_det.losses import flush_statistics
from imb_det.statistics import ClassStats
from tests.test_losses.test_identities import build

LOG2, LOG3, LOG4 = (math.log(n) for n in (2, 3, 4))
#: Two classes: "ant" is in 8 of 16 images, "bee" in 2; 32 boxes and 2.
STATS = ClassStats(("ant", "bee"), [8, 2], [32, 2], 16)

#: Loss, arguments, one row of logits, its label (2 is background), its loss.
EXAMPLES = {
    # Shares 16/17 and 1/17, background as it is. Scales 1 and (1/16)^(1/2) = 1/4. The
    # row has exp(0) 16/17, exp(4/4 log 3) 1/17 and 1: 16/17, 3/17, 1, in all 36/17.
    "VSLoss": (dict(gamma=0.5), [0.0, 4 * LOG3, 0.0], 1, math.log(36 / 3)),
    # (1/17)^2, (16/17)^2 and 1, in 289ths 1, 256 and 289.
    "LogitAdjustmentLoss": (dict(tau=2.0), [0.0] * 3, 1, math.log(546)),
    # Background as often as all others together: 16, 1 and 17.
    "BalancedSoftmaxLoss": (dict(background=1.0), [0.0] * 3, 0, math.log(34 / 16)),
    # Scales 1 and 1/4; 1, 2 and 1.
    "CDTLoss": (dict(gamma=0.5), [0.0, 4 * LOG2, 0.0], 1, math.log(4 / 2)),
    # Margins 0.5 for the rarest class, and 0.5 (2/32)^(1/4) = 0.25. The row of ant
    # has exp(4 log 2 (0.75 - 0.25)) = 4, and 1 and 1.
    "LDAMLoss": (dict(scale=4 * LOG2), [0.75, 0.0, 0.0], 0, math.log(6 / 4)),
    # Factors log(16/8) = log 2 and log(16/2) = 3 log 2: 2^1, 2^3 and 1.
    "IIFLoss": ({}, [1.0, 1.0, 0.0], 1, math.log(11 / 8)),
    # Before any row M = 1. Scores 3/4 and 1/4; for a bee, ant has C = 3^2 = 9, so that
    # it is 9 x 3 beside 1. Objectness has 1 and 1.
    "SeesawLoss": ({}, [LOG3, 0.0, 0.0, 0.0], 1, math.log(28) + LOG2),
    # Of 16 images less than 0.2 hold a bee, so that ants do not push it down: the own
    # element 1/2 alone.
    "EQLLoss": (dict(threshold=0.2), [0.0, LOG3], 0, LOG2),
    # Of background it is a negative as well, before the first object: 1/2 and 1/4.
    "DropLoss": (dict(threshold=0.2), [0.0, LOG3], 2, LOG2 + LOG4),
    # Before any gradient the weights are 1: 1/2, 1/4 (not a bee), 3/4 (no background).
    "EQLv2Loss": ({}, [0.0, LOG3, -LOG3], 0, LOG2 + LOG4 + LOG4 - LOG3),
    # Focal: own 1/4 (1/2)^2 log 2, other 3/4 (3/4)^2 log 4.
    "EqualizedFocalLoss": ({}, [0.0, LOG3], 0, LOG2 / 16 + 27 / 64 * LOG4),
    # One class in S, and that is the row's own.
    "FederatedLoss": (dict(num=1), [0.0, LOG3], 0, LOG2),
    # Images 8, 2 and 0.6 x 10 = 6 of background, of 16: n / (N - n) is 1, 1/7, 3/5.
    # Margins 0, -log(7)/4, log(3/5)/4; weights log 2, 7 log(8/7), 5/3 log(8/5). At
    # 2 z = -m all probabilities are 1/2.
    "ECMLoss": (
        dict(bg_ratio=0.6),
        [0.0, math.log(7) / 8, math.log(5 / 3) / 8],
        1,
        LOG2 * (LOG2 + 7 * math.log(8 / 7) + 5 / 3 * math.log(8 / 5)),
    ),
    # p = exp(-1/2) for the own class; the other has exp(-log 2) = 1/2.
    "GumbelLoss": ({}, [LOG2, -math.log(LOG2)], 0, 0.5 + LOG2),
    # An ant: its own, and bee, which has 3/4 >= 0.7, but not background with 1/2.
    "ACSLLoss": ({}, [0.0, LOG3, 0.0], 0, LOG2 + LOG4),
    # Own (1/2)^1 log 2; the other (3/4 - 1/4)^2 log(1 / (1 - 1/2)).
    "AsymmetricLoss": (dict(gamma_neg=2, margin=0.25), [0.0, LOG3], 0, 0.75 * LOG2),
    # With alpha = 1/2 the loss is 1/p - 1; p = 2/4.
    "AlphaLoss": (dict(alpha=0.5), [0.0, LOG2, 0.0], 1, 1.0),
}


@pytest.mark.parametrize("kind", EXAMPLES)
def test_by_hand(kind):
    arguments, row, label, wanted = EXAMPLES[kind]
    loss = build(kind, STATS, **arguments)
    loss.get_cls_channels(2)  # the losses of rows
    logits = torch.tensor([row], dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([label])
    (found,) = loss(logits, labels, reduction_override="none")
    assert found.item() == pytest.approx(wanted, rel=1e-6)


def test_a_second_step_of_eqlv2():
    # At logits 0 each ant gives 1/2 to its own class, q = 1, and 1/2 to bee, r = 1:
    # after a step of one ant and one background row (weights r = 1) gradients are
    # ant: 1/2 up, 1/2 down; bee: 0 up, 1 down. So g = 1 and 0.
    loss = build("EQLv2Loss", STATS, gamma=2 * LOG3, mu=0.5, alpha=3.0)
    logits = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    loss(logits, torch.tensor([0, 2]))
    flush_statistics(loss)
    assert loss.ratio.sums.value.tolist() == [0.5, 0, 0.5, 1]
    # r = 1 / (1 + exp(-gamma (g - mu))): 3/4 and 1/4; q = 1 + 3 (1 - r): 7/4, 13/4.
    rows = loss(logits, torch.tensor([0, 1]), reduction_override="none") / LOG2
    wanted = torch.tensor([[7 / 4, 1 / 4, 1], [3 / 4, 13 / 4, 1]])
    torch.testing.assert_close(rows.float(), wanted)


def test_a_second_step_of_equalized_focal_loss():
    # At logits 0 the slope of a focal element is a (1/4 (1/2 + 2 (1/2) log 2)): of a
    # positive 1/4 of it, of a negative 3/4. One ant: ant up 1, bee down 3; one bee and
    # five ants: ant 5 : 3, bee 1 : 15. So g = 1 (its limit) and 1/15, and with s = 15
    # gamma is 2 and 2 + 14 = 16.
    loss = build("EqualizedFocalLoss", STATS, scale=15.0)
    logits = torch.zeros(6, 2, dtype=torch.float64, requires_grad=True)
    loss(logits, torch.tensor([0, 0, 0, 0, 0, 1]))
    flush_statistics(loss)
    up, down = loss.ratio.sums.value.chunk(2)
    assert (up / down).tolist() == pytest.approx([5 / 3, 1 / 15])
    # Factors gamma_c / gamma are 1 and 8: a bee has 1/4 x 8 x 2^-16 log 2.
    (row,) = loss(logits[:1], torch.tensor([1]), reduction_override="none") / LOG2
    assert row.tolist() == pytest.approx([3 / 4 / 4, 2 * 2**-16])


def test_a_second_step_of_seesaw():
    # Four ants and one bee. A row of an ant then pushes bee by (1/4)^(1/2) = 1/2.
    loss = build("SeesawLoss", STATS, p=0.5)
    logits = torch.zeros(5, 4, dtype=torch.float64, requires_grad=True)
    loss(logits, torch.tensor([0, 0, 0, 0, 1]))
    flush_statistics(loss)
    assert loss.counts.value.tolist() == [4, 1]
    rows = loss(logits[:2], torch.tensor([0, 1]), reduction_override="none") - LOG2
    assert rows.tolist() == pytest.approx([math.log(1.5), LOG2])


def test_a_second_step_of_droploss():
    # Three ants and one bee: mu = 1/4 of foreground rows are of the tail, so that rare
    # negatives of background have this weight.
    loss = build("DropLoss", STATS, threshold=0.2, sampled=False)
    logits = torch.zeros(4, 2, dtype=torch.float64, requires_grad=True)
    loss(logits, torch.tensor([0, 0, 0, 1]))
    flush_statistics(loss)
    rows = loss(logits[:2], torch.tensor([2, 0]), reduction_override="none") / LOG2
    assert rows.tolist() == [pytest.approx([1, 0.25]), pytest.approx([1, 0])]


def test_a_second_step_of_logit_adjustment_by_rows():
    # Two ants, one bee, five of background: 2/3 and 1/3, background as it is.
    loss = build("LogitAdjustmentLoss", STATS, prior="rows")
    logits = torch.zeros(8, 3, dtype=torch.float64, requires_grad=True)
    loss(logits, torch.tensor([0, 0, 1, 2, 2, 2, 2, 2]))
    flush_statistics(loss)
    (row,) = loss(logits[:1], torch.tensor([1]), reduction_override="none")
    assert row.item() == pytest.approx(math.log(6))
