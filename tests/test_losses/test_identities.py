"""What the losses of the long tail become where what is special of them is off."""

import math

import pytest
import torch
from torch.nn import functional as F

from imb_det.losses import flush_statistics, manage_statistics
from imb_det.registry import MODELS
from imb_det.statistics import ClassStats

C = 4
NAMES = ("ant", "bee", "cat", "dog")
TAIL = ClassStats(NAMES, [60, 20, 4, 1], [100, 25, 5, 1], 80)
BALANCED = ClassStats(NAMES, [20] * C, [25] * C, 80)
LABELS = torch.tensor([0, C, 2, 1, C, 3, 3, 0])


def build(kind, stats=TAIL, **arguments):
    """A loss as it is when training starts."""
    loss = MODELS.build(dict(type=f"imb_det.{kind}", **arguments))
    for part in loss.modules():
        if hasattr(part, "set_class_stats"):
            part.set_class_stats(stats)
    manage_statistics(loss)
    return loss


def make_logits(loss, rows=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (rows, C + loss.link.extra_channels)
    logits = 2 * torch.randn(shape, generator=generator, dtype=torch.float64)
    return logits.requires_grad_()


def one_hot(labels, channels):
    return F.one_hot(labels, max(channels, C + 1))[:, :channels].double()


# Plain losses of rows or elements.


def softmax(z, y):
    return F.cross_entropy(z, y, reduction="none")


def sigmoid(z, y):
    target = one_hot(y, z.size(1))
    return F.binary_cross_entropy_with_logits(z, target, reduction="none")


def focal(z, y, gamma=2.0, alpha=0.25):
    is_own = one_hot(y, z.size(1)) > 0
    p = torch.where(is_own, z.sigmoid(), 1 - z.sigmoid())
    factor = torch.where(is_own, alpha, 1 - alpha).to(z.dtype)
    return factor * (1 - p) ** gamma * sigmoid(z, y)


def gumbel(z, y):
    p = torch.exp(-torch.exp(-z))
    return F.binary_cross_entropy(p, one_hot(y, C), reduction="none")


def with_objectness(z, y):
    """Cross entropy of the classes of rows of an object, and of objectness."""
    is_object = y < C
    classes = F.cross_entropy(z[:, :C], y.clamp(max=C - 1), reduction="none")
    objectness = F.cross_entropy(z[:, C:], (~is_object).long(), reduction="none")
    return is_object * classes + objectness


def positives(z, y):
    """Of rows of an object their own class alone; all of background."""
    own = one_hot(y, C)
    return sigmoid(z, y) * torch.where(y[:, None] < C, own, 1.0)


def scaled(factor, of):
    return lambda z, y: factor * of(z, y)


#: Name -> loss, its arguments, counts, and what it equals.
IDENTITIES = {
    "VS loss without gamma and tau": ("VSLoss", dict(gamma=0, tau=0), TAIL, softmax),
    "VS loss of equal counts": ("VSLoss", dict(tau=0), BALANCED, softmax),
    "balanced softmax of equal counts": (
        "BalancedSoftmaxLoss",
        dict(background=1 / C),
        BALANCED,
        softmax,
    ),
    "logit adjustment for the prior that it has": (
        "LogitAdjustmentLoss",
        dict(prior=[6, 2, 1, 1], test_prior=[6, 2, 1, 1]),
        TAIL,
        softmax,
    ),
    "logit adjustment before any row": (
        "LogitAdjustmentLoss",
        dict(prior="rows", background="count"),
        TAIL,
        softmax,
    ),
    "CDT of equal counts": ("CDTLoss", dict(gamma=2.0), BALANCED, softmax),
    "balanced sigmoid of classes in half of the images": (
        "BalancedSoftmaxLoss",
        dict(use_sigmoid=True),
        ClassStats(NAMES, [40] * C, [50] * C, 80),
        sigmoid,
    ),
    "LDAM without margins": ("LDAMLoss", dict(scale=1.0, max_margin=0), TAIL, softmax),
    "LDAM of equal counts": (
        "LDAMLoss",
        dict(scale=3.0, max_margin=0.5),
        BALANCED,
        lambda z, y: softmax(3 * (z - 0.5 * one_hot(y, C + 1) * (y < C)[:, None]), y),
    ),
    "IIF with factors of 1": ("IIFLoss", dict(weight=[1.0] * C), TAIL, softmax),
    "IIF of equal counts": (
        "IIFLoss",
        {},
        BALANCED,
        lambda z, y: softmax(z * torch.tensor([math.log(4)] * C + [1.0]), y),
    ),
    "Seesaw without p and q": ("SeesawLoss", dict(p=0, q=0), TAIL, with_objectness),
    "EQL with a threshold of 0": ("EQLLoss", dict(threshold=0), TAIL, sigmoid),
    "EQL of rare classes alone": ("EQLLoss", dict(tail=[1] * C), TAIL, positives),
    "DropLoss with a threshold of 0": ("DropLoss", dict(threshold=0), TAIL, sigmoid),
    "DropLoss before any object": (
        "DropLoss",
        dict(tail=[1] * C),
        TAIL,
        positives,  # mu is 1: background keeps its negatives
    ),
    "EQLv2 before any gradient": ("EQLv2Loss", {}, TAIL, sigmoid),
    "EQLv2 without an output for background": (
        "EQLv2Loss",
        dict(objectness=False),
        TAIL,
        sigmoid,
    ),
    "EFL before any gradient": ("EqualizedFocalLoss", {}, TAIL, focal),
    "EFL without growth": ("EqualizedFocalLoss", dict(scale=0), TAIL, focal),
    "federated loss of all classes": ("FederatedLoss", dict(num=C), TAIL, sigmoid),
    "federated loss of fewer classes than num": ("FederatedLoss", {}, TAIL, sigmoid),
    "federated focal loss of all classes": (
        "FederatedLoss",
        dict(gamma=2.0),
        TAIL,
        focal,
    ),
    "GOL without a tail": (
        "GumbelLoss",
        dict(drop=True, tail=[0] * C),
        TAIL,
        gumbel,
    ),
    "Gumbel loss": ("GumbelLoss", {}, TAIL, gumbel),
    "ACSL that suppresses nothing": (
        "ACSLLoss",
        dict(score_thr=0.0, rates=[1.0] * C),
        TAIL,
        sigmoid,
    ),
    "asymmetric loss without asymmetry": (
        "AsymmetricLoss",
        dict(gamma_neg=0, gamma_pos=0, margin=0),
        TAIL,
        sigmoid,
    ),
    "asymmetric loss with one gamma": (
        "AsymmetricLoss",
        dict(gamma_neg=2, gamma_pos=2, margin=0, alpha=0.25),
        TAIL,
        focal,
    ),
    "alpha loss of 1": ("AlphaLoss", dict(alpha=1.0), TAIL, softmax),
    "alpha loss of 1 with a sigmoid": (
        "AlphaLoss",
        dict(alpha=[1.0] * C, use_sigmoid=True),
        TAIL,
        sigmoid,
    ),
    "alpha loss without end": (
        "AlphaLoss",
        dict(alpha=1e6),
        TAIL,
        lambda z, y: 1 - torch.exp(-softmax(z, y)),
    ),
    "focal loss without focus": (
        "FocalLoss",
        dict(gamma=0.0, alpha=0.5),
        TAIL,
        scaled(0.5, sigmoid),
    ),
}


@pytest.mark.parametrize("name", IDENTITIES)
def test_equals_a_plain_loss(name):
    kind, arguments, stats, plain = IDENTITIES[name]
    loss = build(kind, stats, **arguments)
    logits = make_logits(loss)
    with torch.no_grad():
        logits.clamp_(-2.5, 9)  # where the formula of Gumbel's is exact
    found = loss(logits, LABELS, reduction_override="none")
    wanted = plain(logits, LABELS)
    torch.testing.assert_close(found, wanted, rtol=2e-6, atol=1e-9)
    slopes = [torch.autograd.grad(x.sum(), logits)[0] for x in (found, wanted)]
    torch.testing.assert_close(*slopes, rtol=2e-6, atol=2e-6)


def test_seesaw_does_not_care_for_the_number_of_all_rows():
    # Only ratios of counts enter, and those from 1 on: M of counts and of ten times
    # them is the same.
    once, often = (build("SeesawLoss", q=0) for _ in range(2))
    for loss, times in ((once, 3), (often, 30)):
        logits = torch.zeros(4 * times, C + 2, dtype=torch.float64)
        loss(logits.requires_grad_(), torch.tensor([0, 0, 1, 2]).repeat(times))
        flush_statistics(loss)
    logits = make_logits(once)
    kept = LABELS != 3  # of which there was none
    rows = [loss(logits, LABELS, reduction_override="none") for loss in (once, often)]
    assert once.counts.value.tolist() == [6, 3, 3, 0]
    # Class 3 counts as 1, in the one of 30 and in the other of 3 of another class.
    assert not torch.allclose(rows[0][kept], rows[1][kept])
    for loss in (once, often):
        loss.counts.mean[3] = loss.counts.mean[2]
    rows = [loss(logits, LABELS, reduction_override="none") for loss in (once, often)]
    torch.testing.assert_close(*rows)
    plain = with_objectness(logits, LABELS)
    assert (rows[0] <= plain + 1e-12).all()
    assert (rows[0] < plain - 1e-3).any()


def test_margins_of_a_class_of_half_of_all_examples():
    # ECM: n = N / 2 has m = 0, a = 1, and the weight log 2; here it is background,
    # once as often as all classes.
    loss = build("ECMLoss", bg_ratio=1.0)
    logits = make_logits(loss)
    rows = loss(logits, LABELS, reduction_override="none")[:, C]
    wanted = math.log(2) * sigmoid(2 * logits, LABELS)[:, C]
    torch.testing.assert_close(rows, wanted)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_gumbel_is_stable(dtype):
    # Both logarithms of exp(-exp(-q)) for q from -50 to 50, without slope outside of
    # [-4, 10].
    loss = build("GumbelLoss")
    q = torch.linspace(-50, 50, 401, dtype=dtype)[:, None].repeat(1, C)
    q.requires_grad_()
    inside = ((q > -4) & (q < 10)).detach()
    for label in (0, C):
        labels = torch.full((len(q),), label)
        value = loss(q, labels, reduction_override="none")
        exact = q.detach().double().clamp(-4, 10)
        p = torch.exp(-torch.exp(-exact))
        wanted = -torch.where(one_hot(labels, C) > 0, p.log(), torch.log1p(-p))
        torch.testing.assert_close(value.double(), wanted, rtol=1e-5, atol=1e-5)
        (slope,) = torch.autograd.grad(value.sum(), q)
        assert slope.isfinite().all()
        assert (slope[~inside] == 0).all()
        assert (slope[inside & (q > -1)] != 0).all()  # below, 1 - p is all but 1


def test_cdb_of_uniform_difficulty():
    loss = MODELS.build(dict(type="imb_det.CDBLoss", use_sigmoid=False))
    loss.set_class_difficulty_weights(torch.ones(C))
    logits = make_logits(loss)
    found = loss(logits, LABELS, reduction_override="none")
    torch.testing.assert_close(found, softmax(logits, LABELS))
