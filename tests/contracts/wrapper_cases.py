"""Losses around other losses, in the forms that the contract tests."""

import math
from dataclasses import dataclass, field

import torch

from tests.references import wrappers
from tests.references.reduction import flat, reduced, weighted

from . import long_tail_oracles, oracles
from .case import STATS, Case
from .long_tail_cases import scaled

ONES = [1.0] * 4


@dataclass(frozen=True)
class WrapperCase(Case):
    """A loss around another one.

    Attributes:
        fixed: Whether the arguments are for three classes.
        multipliers: For ``set_multipliers`` of classes and background.
    """

    fixed: bool = field(default=False, kw_only=True)
    multipliers: tuple | None = field(default=None, kw_only=True)

    @property
    def any_classes(self):
        return not self.fixed

    def start(self, loss, stats=STATS):
        loss = super().start(loss, stats)
        if self.multipliers is not None:
            loss.set_multipliers(*map(torch.tensor, self.multipliers))
        return loss

    def __str__(self):
        return f"{self.loss}-{self.activation}-{_words(self.arguments)}"


def _words(arguments):
    words = []
    for key, value in arguments.items():
        if key == "loss":
            rest = {k: v for k, v in value.items() if k != "type"}
            value = "-".join([value["type"][8:], *([_words(rest)] if rest else [])])
        words.append(f"{key}={value}")
    return "-".join(words)


class Clipped:
    """Another oracle, of clipped logits; what does not count is no part of a norm."""

    def __init__(self, inner, tau, p=2.0):
        self.inner, self.tau, self.p = inner, tau, p

    def clip(self, logits, targets, weight=None):
        rows = []
        for i, row in enumerate(logits):
            factor = 1.0 if weight is None else weight[i]
            factor = factor if isinstance(factor, list) else [factor] * len(row)
            known = [0.0 if targets[i] is None or not f else 1.0 for f in factor]
            row = [z if k else 0.0 for z, k in zip(row, known, strict=True)]
            rows.append(wrappers.clipped(row, self.tau, self.p))
        return rows

    def frozen(self, logits):
        everything = [[0.0]] * len(logits)
        self.inner.frozen(self.clip(logits, everything))
        return self

    def loss(self, logits, targets, weight=None, reduction="mean", avg_factor=None):
        logits = self.clip(logits, targets, weight)
        return self.inner.loss(logits, targets, weight, reduction, avg_factor)

    def end_step(self):
        self.inner.end_step()


class Smoothed:
    """Another oracle, of smoothed targets."""

    def __init__(self, inner, epsilon, over=3):
        self.inner, self.epsilon, self.over = inner, epsilon, over

    def loss(self, logits, targets, weight=None, reduction="mean", avg_factor=None):
        targets = [t and wrappers.smoothed(t, self.epsilon, self.over) for t in targets]
        return self.inner.loss(logits, targets, weight, reduction, avg_factor)

    def end_step(self):
        self.inner.end_step()


class Held:
    """Another oracle, with the penalty of CALS of its rows."""

    def __init__(self, inner, multiplier, rho, form, margin, normalize=True, scale=1.0):
        self.inner, self.multiplier, self.rho = inner, multiplier, rho
        self.form, self.margin, self.normalize = form, margin, normalize
        self.scale = scale

    def loss(self, logits, targets, weight=None, reduction="mean", avg_factor=None):
        values = self.inner.loss(logits, targets, weight, "none")
        for i, row in enumerate(logits):
            factor = 1.0 if weight is None else weight[i]
            row = [self.scale * z for z in row]
            far = wrappers.constraints(row, self.margin, self.normalize)
            terms = zip(far, self.multiplier, self.rho, strict=True)
            parts = [wrappers.penalty(*term, self.form)[0] for term in terms]
            counts = targets[i] is not None
            values[i] += counts * factor * sum(parts) / len(parts)
        return reduced(values, reduction, avg_factor)

    def end_step(self):
        self.inner.end_step()


class Attentional:
    """Rows of another oracle, weighted by the exponential of their loss."""

    def __init__(self, inner, lam, gamma, all_rows=False, call=False, loss_weight=1.0):
        self.inner, self.lam = inner, lam
        self.all_rows, self.call, self.loss_weight = all_rows, call, loss_weight
        self.normaliser = wrappers.Normaliser(gamma)
        self.pending, self.at = [], None

    def frozen(self, logits):
        """The same with the weights of these logits, for differences."""
        self.at = logits
        return self

    def loss(self, logits, targets, weight=None, reduction="mean", avg_factor=None):
        values = self.inner.loss(logits, targets, weight, "none")
        at = logits if self.at is None else self.at
        rows = [sum(flat([v])) for v in self.inner.loss(at, targets, weight, "none")]
        counted = [
            target is not None
            and (weight is None or any(flat([weight[i]])))
            and (self.all_rows or any(target[:3]))
            for i, target in enumerate(targets)
        ]
        known = [x for x, c in zip(rows, counted, strict=True) if c]
        u = self.normaliser.u
        if self.call:
            u = self.normaliser.after(known, self.lam)
        factors = [
            math.exp(x / self.lam) / u if c and u is not None else 1.0
            for x, c in zip(rows, counted, strict=True)
        ]
        self.pending += known
        values = weighted(weighted(values, factors), [self.loss_weight] * len(values))
        return reduced(values, reduction, avg_factor)

    def end_step(self):
        self.normaliser.u = self.normaliser.after(self.pending, self.lam)
        self.pending = []


def cross_entropy(**rest):
    return oracles.softmax_cross_entropy(ONES, **rest)


def config(kind, **arguments):
    return dict(type=f"imb_det.{kind}", **arguments)


def of_clipped(tau, scores=None, p=2.0):
    """Probabilities of clipped logits, of a softmax unless given."""

    def probabilities(logits):
        size = torch.linalg.vector_norm(logits, p, dim=1, keepdim=True)
        logits = logits * (tau / size).clamp(max=1)
        return logits.softmax(1) if scores is None else scores(logits)

    return probabilities


def sigmoids(logits):
    """Sigmoids, and no background."""
    return torch.nn.functional.pad(logits.sigmoid(), (0, 1))


#: Multipliers and factors of penalties of three classes and background.
MULTIPLIERS = ([0.05, 0.025, 0.1, 0.0125], [0.05, 0.1, 0.02, 0.2])
COUNTS = STATS.instance_count.tolist()

WRAPPERS = [
    WrapperCase(
        "LogitClipLoss",
        "softmax",
        lambda: Clipped(cross_entropy(), 1.5),
        dict(loss=config("CrossEntropyLoss"), tau=1.5),
        scores=of_clipped(1.5),
    ),
    WrapperCase(
        "LogitClipLoss",
        "sigmoid",
        lambda: Clipped(oracles.focal_loss(2.0, [0.25] * 3), 2.0, 1.0),
        dict(loss=config("FocalLoss"), tau=2.0, p=1),
        scores=of_clipped(2.0, sigmoids, 1.0),
    ),
    WrapperCase(
        "ABSGDLoss",
        "softmax",
        lambda: Attentional(cross_entropy(), 3.0, 0.9),
        dict(loss=config("CrossEntropyLoss"), lam=3.0),
        is_detached=True,
    ),
    WrapperCase(
        "ABSGDLoss",
        "softmax",
        lambda: Attentional(
            Clipped(oracles.softmax_cross_entropy([2.0, 1.0, 0.5, 0.25]), 3.0),
            5.0,
            0.5,
            loss_weight=2.0,
        ),
        dict(
            loss=config(
                "LogitClipLoss",
                loss=config(
                    "CrossEntropyLoss", class_weight=[2.0, 1.0, 0.5], bg_weight=0.25
                ),
                tau=3.0,
            ),
            lam=5.0,
            gamma=0.5,
            loss_weight=2.0,
        ),
        scores=of_clipped(3.0),
        is_detached=True,
        fixed=True,
    ),
    WrapperCase(
        "ABSGDLoss",
        "sigmoid",
        lambda: Attentional(
            oracles.focal_loss(2.0, [0.25] * 3), -2.0, 0.6, all_rows=True, call=True
        ),
        dict(
            loss=config("FocalLoss"),
            lam=-2.0,
            gamma=0.6,
            rows="all",
            statistics="call",
        ),
        is_detached=True,
    ),
    WrapperCase(
        "LabelAwareSmoothingLoss",
        "softmax",
        lambda: Smoothed(
            cross_entropy(), wrappers.smoothing(COUNTS, 0.3, 0.0, "concave")
        ),
        dict(loss=config("CrossEntropyLoss")),
    ),
    WrapperCase(
        "LabelAwareSmoothingLoss",
        "softmax",
        lambda: Smoothed(
            long_tail_oracles.adjusted([2.0] * 4, [0.0] * 4, [0.5, 0.25, 0.125, 0.0]),
            wrappers.smoothing([3, 4, 1], 0.4, 0.1, "convex"),
            over=4,
        ),
        dict(
            loss=config("LDAMLoss", scale=2.0, margin=[0.5, 0.25, 0.125]),
            head=0.4,
            tail=0.1,
            smoothing="convex",
            by="images",
            over="outputs",
        ),
        scores=scaled(2.0, 2.0, 2.0, 2.0),
        fixed=True,
    ),
    WrapperCase(
        "CALSLoss",
        "softmax",
        lambda: Held(cross_entropy(), *MULTIPLIERS, "phr", 2.0),
        dict(loss=config("CrossEntropyLoss"), margin=2.0),
        fixed=True,
        multipliers=MULTIPLIERS,
    ),
    WrapperCase(
        "CALSLoss",
        "softmax",
        lambda: Held(
            long_tail_oracles.adjusted([2.0] * 4, [0.0] * 4, [0.5, 0.25, 0.125, 0.0]),
            [0.02] * 4,
            [0.03] * 4,
            "p2",
            1.5,
            normalize=False,
            scale=2.0,
        ),
        dict(
            loss=config("LDAMLoss", scale=2.0, margin=[0.5, 0.25, 0.125]),
            margin=1.5,
            penalty="p2",
            normalize=False,
        ),
        scores=scaled(2.0, 2.0, 2.0, 2.0),
        fixed=True,
        multipliers=(0.02, 0.03),
    ),
]
