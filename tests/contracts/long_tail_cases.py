"""The losses of the long-tail literature, in the forms that the contract tests."""

import math

import torch

from tests.references.long_tail import grouped_scores

from . import long_tail_oracles as oracles
from .case import NUM_CLASSES, Case
from .oracles import sigmoid_cross_entropy, softmax_cross_entropy

#: Shares of instances, and of images, of ``STATS``.
INSTANCES = [math.log(n / 9) for n in (4, 4, 1)]
IMAGES = (3 / 6, 4 / 6, 1 / 6)
#: A rule with options: weights 0.5, 0.5 and 2.
INVERSE = dict(rule="inverse", max_ratio=None)
PLAIN = dict(type="imb_det.CrossEntropyLoss")


def with_objectness(logits):
    """Sigmoids of classes times that of no background."""
    p = logits.sigmoid()
    return torch.cat([p[:, :-1] * (1 - p[:, -1:]), p[:, -1:]], 1)


def with_two_outputs(logits):
    """Softmax of classes times that of foreground."""
    objectness = logits[:, -2:].softmax(1)
    classes = logits[:, :-2].softmax(1) * objectness[:, :1]
    return torch.cat([classes, objectness[:, 1:]], 1)


def classes_of_background(labels):
    """Seesaw's classes are those of rows of an object; two outputs are for all rows."""
    is_class = torch.tensor([True] * NUM_CLASSES + [False] * 2)
    return (labels == NUM_CLASSES)[:, None] & is_class


def scaled(*factors):
    """Softmax of logits times factors."""
    return lambda logits: (logits * torch.tensor(factors)).softmax(1)


def gumbel(logits):
    """Gumbel probabilities; no background."""
    p = torch.exp(-torch.exp(-logits))
    return torch.cat([p, 0 * p[:, :1]], 1)


def grouped(*groups):
    """Softmax within groups of classes, times that of foreground."""
    return lambda logits: torch.tensor(
        [grouped_scores(row, groups) for row in logits.tolist()], dtype=logits.dtype
    )


LONG_TAIL = [
    Case(
        "VSLoss",
        "softmax",
        lambda: oracles.adjusted([1.0, 1.0, 0.25**0.3, 1.0], [*INSTANCES, 0.0]),
    ),
    Case(
        "VSLoss",
        "softmax",
        lambda: oracles.adjusted(
            [(n / 27) ** 0.5 for n in (4, 4, 1, 27)],
            [0.5 * math.log(n / 36) for n in (4, 4, 1, 27)],
        ),
        dict(gamma=0.5, tau=0.5, background=3.0),
    ),
    Case(
        "LogitAdjustmentLoss",
        "softmax",
        lambda: oracles.adjusted(
            [1.0] * 4, [2 * (x - math.log(1 / 3)) for x in INSTANCES] + [0.0]
        ),
        dict(tau=2.0, test_prior="uniform"),
    ),
    Case(
        "LogitAdjustmentLoss",
        "softmax",
        lambda: oracles.CountedRows(with_background=True, tau=0.5),
        dict(tau=0.5, prior="rows", background="count"),
    ),
    Case(
        "BalancedSoftmaxLoss",
        "softmax",
        lambda: oracles.CountedRows(with_background=False),
        dict(prior="rows"),
    ),
    Case("BalancedSoftmaxLoss", "sigmoid", lambda: oracles.balanced_sigmoid(IMAGES)),
    Case(
        "CDTLoss",
        "softmax",
        lambda: oracles.adjusted([1.0, 1.0, 0.5, 1.0], [0.0] * 4),
        dict(gamma=0.5),
    ),
    Case(
        "LDAMLoss",
        "softmax",
        lambda: oracles.adjusted(
            [2.0] * 4, [0.0] * 4, [0.5 / math.sqrt(2)] * 2 + [0.5, 0.0]
        ),
        dict(scale=2.0),
        scores=scaled(2.0, 2.0, 2.0, 2.0),
    ),
    Case(
        "VSLoss",
        "softmax",
        lambda: oracles.adjusted(
            [1.0] * 4, [*INSTANCES, 0.0], weight=[0.75, 0.75, 3.0, 0.25]
        ),
        dict(gamma=0.0, class_weight=INVERSE, bg_weight=0.25),
    ),
    Case(
        "LDAMLoss",
        "softmax",
        lambda: oracles.adjusted(
            [2.0] * 4, [0.0] * 4, [1, 1, 2, 0], weight=[0.75, 0.75, 3.0, 1.0]
        ),
        dict(scale=2.0, margin=[1, 1, 2], class_weight=INVERSE),
        scores=scaled(2.0, 2.0, 2.0, 2.0),
    ),
    Case(
        "IIFLoss",
        "softmax",
        lambda: oracles.adjusted([*(-math.log(f) for f in IMAGES), 1.0], [0.0] * 4),
        scores=scaled(*(-math.log(f) for f in IMAGES), 1.0),
    ),
    Case(
        "SeesawLoss",
        "softmax",
        oracles.Seesaw,
        extra=2,
        scores=with_two_outputs,
        idle=classes_of_background,
        needs_classes=True,
        is_detached=True,
    ),
    Case(
        "SeesawLoss",
        "softmax",
        lambda: oracles.Seesaw(p=0.5, q=1.0, eps=0.1, average="positives"),
        dict(p=0.5, q=1.0, eps=0.1, average="positives"),
        extra=2,
        scores=with_two_outputs,
        idle=classes_of_background,
        needs_classes=True,
        is_detached=True,
        of_call=True,
    ),
    Case(
        "SeesawLoss",
        "softmax",
        lambda: oracles.Seesaw(call=True),
        dict(statistics="call"),
        extra=2,
        scores=with_two_outputs,
        idle=classes_of_background,
        needs_classes=True,
        is_detached=True,
    ),
    Case(
        "EQLLoss",
        "sigmoid",
        lambda: oracles.equalized([0, 0, 1]),
        dict(threshold=0.2),
    ),
    Case(
        "DropLoss",
        "sigmoid",
        lambda: oracles.Dropped([1, 0, 1]),
        dict(tail=[1, 0, 1], sampled=False),
    ),
    Case(
        "EQLv2Loss",
        "sigmoid",
        oracles.EqualizedV2,
        extra=1,
        scores=with_objectness,
    ),
    Case(
        "EQLv2Loss",
        "sigmoid",
        lambda: oracles.EqualizedV2(4.0, 0.5, 2.0, objectness=False),
        dict(gamma=4.0, mu=0.5, alpha=2.0, objectness=False),
    ),
    Case(
        "EqualizedFocalLoss",
        "sigmoid",
        oracles.EqualizedFocal,
    ),
    Case(
        "EqualizedQualityFocalLoss",
        "sigmoid",
        lambda: oracles.EqualizedFocal(alpha=None, scale=4.0, of_rows=True),
        of_rows=True,
    ),
    Case(
        "FederatedLoss",
        "sigmoid",
        lambda: oracles.weighted(oracles.ONES, oracles.ONES),
    ),
    Case(
        "FederatedLoss",
        "sigmoid",
        lambda: oracles.Federated(2, drawn=1),
        dict(num=2, weight=[0.0, 1.0, 0.0]),
        of_call=True,
    ),
    Case(
        "FederatedLoss",
        "sigmoid",
        lambda: oracles.Federated(1, drawn=2, gamma=2.0, alpha=0.25),
        dict(num=1, weight=[0.0, 0.0, 1.0], gamma=2.0),
        of_call=True,
    ),
    Case(
        "ECMLoss",
        "sigmoid",
        lambda: oracles.effective_margins([3, 4, 1], 6.3313),
        extra=1,
        scores=with_objectness,
    ),
    Case("GumbelLoss", "sigmoid", oracles.Gumbel, scores=gumbel, is_bounded=True),
    Case(
        "GumbelLoss",
        "sigmoid",
        lambda: oracles.Gumbel([0, 1, 0]),
        dict(drop=True, tail=[0, 1, 0], sampled=False),
        scores=gumbel,
        is_bounded=True,
    ),
    Case(
        "ACSLLoss",
        "sigmoid",
        lambda: oracles.suppressed(0.6, [0.1, 1.0, 0.01]),
        dict(score_thr=0.6, rates=[0.1, 1.0, 0.01], sampled=False),
        extra=1,
        scores=torch.sigmoid,
    ),
    Case(
        "AsymmetricLoss",
        "sigmoid",
        lambda: oracles.asymmetric(4.0, 1.0, 0.05),
        is_bounded=True,
    ),
    Case(
        "AsymmetricLoss",
        "sigmoid",
        lambda: oracles.asymmetric(2.0, 0.5, 0.0, alpha=0.25),
        dict(gamma_neg=2.0, gamma_pos=0.5, margin=0.0, alpha=0.25),
    ),
    Case("AlphaLoss", "softmax", lambda: oracles.alpha_softmax(0.9)),
    Case(
        "AlphaLoss",
        "sigmoid",
        lambda: oracles.alpha_sigmoid([0.8, 1.0, 2.0]),
        dict(alpha=[0.8, 1.0, 2.0]),
        needs_classes=True,
    ),
    Case(
        "BalancedGroupSoftmaxLoss",
        "softmax",
        lambda: oracles.GroupedSoftmax([0, 0, 0], 4),
        extra=6,
        scores=grouped(0, 0, 0),
        needs_classes=True,
        of_call=True,
    ),
    Case(
        "BalancedGroupSoftmaxLoss",
        "softmax",
        lambda: oracles.GroupedSoftmax([1, 1, 0], 2, 0.5, "rows"),
        dict(edges=(2,), beta=0.5, sampled=False, average="rows"),
        extra=4,
        scores=grouped(1, 1, 0),
        needs_classes=True,
        of_call=True,
    ),
    Case(
        "BalancedGroupSoftmaxLoss",
        "softmax",
        lambda: oracles.GroupedSoftmax([0, 1, 0], 2, 0.5),
        dict(edges=(2,), groups=[0, 1, 0], beta=0.5, sampled=False),
        extra=4,
        scores=grouped(0, 1, 0),
        needs_classes=True,
        of_call=True,
    ),
    Case("EBLLoss", "softmax", oracles.Equilibrium),
    Case(
        "EBLLoss",
        "softmax",
        lambda: oracles.Equilibrium(0.5, 0.2, 0.1),
        dict(momentum=0.5, init_score=0.2, bg_score=0.1),
    ),
    Case(
        "FadingLoss",
        "softmax",
        lambda: oracles.Fading(
            softmax_cross_entropy([1.0] * 4),
            oracles.adjusted([2.0] * 4, [0.0] * 4, [1, 1, 2, 0]),
            0.25,
        ),
        dict(losses=[PLAIN, dict(type="imb_det.LDAMLoss", margin=[1, 1, 2], scale=2)]),
        scores=lambda z: 0.75 * z.softmax(1) + 0.25 * (2 * z).softmax(1),
        progress=0.25,
    ),
    Case(
        "FadingLoss",
        "sigmoid",
        lambda: oracles.Fading(
            sigmoid_cross_entropy([1.0] * 3), oracles.EqualizedV2(objectness=False), 0.6
        ),
        dict(
            losses=[PLAIN, dict(type="imb_det.EQLv2Loss", objectness=False)],
            share=dict(stages=dict(fading=(0.2, 1.0))),
        ),
        progress=0.5,
    ),
]
