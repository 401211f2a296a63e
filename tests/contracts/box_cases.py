"""Every box regression loss of the library, in the forms that the contract tests.

A new loss needs an entry in ``BOX_CASES``: its name, its arguments, and its oracle.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from imb_det.losses import flush_statistics, manage_statistics
from imb_det.registry import MODELS
from tests.references import ghm
from tests.references.reduction import flat, reduced, weighted


class StepGHMR:
    """GHM-R with the counts of the steps before; a bin counts as ``floor`` at least."""

    def __init__(self, mu, bins, momentum, floor=10.0, loss_weight=1.0):
        self.mu, self.floor, self.loss_weight = mu, floor, loss_weight
        self.average = ghm.StepAverage(bins, momentum)
        self.pending = []

    def loss(self, pred, target, weight, reduction="mean"):
        """Loss of a call, which adds to the counts; all three are rows of numbers."""
        pairs = zip(flat(pred), flat(target), strict=True)
        differences = [p - t for p, t in pairs]
        norms = [ghm.asl1_gradient(d, self.mu) for d in differences]
        flags = [w > 0 for w in flat(weight)]
        beta, total = self.harmonise(norms, flags)
        losses = [ghm.asl1(d, self.mu) for d in differences]
        values = weighted(weighted(losses, beta), flat(weight))
        values = [self.loss_weight * value for value in values]
        return reduced(values, reduction, total if reduction == "mean" else None)

    def harmonise(self, norms, flags):
        """Weights of all coordinates, and N."""
        seen = [norm for norm, flag in zip(norms, flags, strict=True) if flag]
        self.pending += seen
        beta = self.average.beta(norms, floor=self.floor)
        total = self.average.averages()[1] if self.average.steps else len(seen)
        return beta, max(total, 1)

    def end_step(self):
        """Take what the calls counted into the average, unless that is nothing."""
        if self.pending:
            self.average.end_step(self.pending)
        self.pending = []


class CallGHMR(StepGHMR):
    """GHM-R with the counts of the call among them, as mmdet has it."""

    def __init__(self, mu, bins, momentum, **rest):
        super().__init__(mu, bins, momentum, **rest)
        self.average = ghm.CallAverage(bins, momentum)

    def harmonise(self, norms, flags):
        seen = [norm for norm, flag in zip(norms, flags, strict=True) if flag]
        total = max(len(seen), 1)
        of_seen = iter(self.average.beta(seen, total))
        return [next(of_seen) if flag else 0.0 for flag in flags], total

    def end_step(self):
        """Calls did."""


@dataclass(frozen=True)
class BoxCase:
    """A box loss with arguments and its oracle."""

    loss: str
    oracle: Callable[[], Any]
    arguments: dict = field(default_factory=dict)

    @property
    def counts_calls(self):
        return self.arguments.get("statistics") == "call"

    @property
    def config(self):
        return dict(type=f"imb_det.{self.loss}", **self.arguments)

    def build(self, **changes):
        loss = MODELS.build({**self.config, **changes})
        manage_statistics(loss)
        return loss

    def __str__(self):
        words = [f"{key}={value}" for key, value in self.arguments.items()]
        return "-".join([self.loss, *words])


BOX_CASES = [
    BoxCase("GHMRLoss", lambda: StepGHMR(0.02, 10, 0.7)),
    BoxCase(
        "GHMRLoss",
        lambda: StepGHMR(0.5, 4, 0.5, floor=1.0, loss_weight=10.0),
        dict(mu=0.5, bins=4, momentum=0.5, min_count=1.0, loss_weight=10.0),
    ),
    BoxCase(
        "GHMRLoss",
        lambda: CallGHMR(0.1, 5, 0.7),
        dict(mu=0.1, bins=5, statistics="call"),
    ),
]


def make_boxes(seed=0, rows=6, dtype=torch.float64):
    """Predictions with a gradient, targets, and weights, 0 for some rows."""
    generator = torch.Generator().manual_seed(seed)
    pred, target = 0.2 * torch.randn(2, rows, 4, generator=generator).double()
    weight = torch.ones(rows, 4, dtype=torch.float64)
    weight[1::3] = 0
    return pred.to(dtype).requires_grad_(), target.to(dtype), weight.to(dtype)


def warm_box_loss(case, **changes):
    """A loss with the statistics of one step, and its oracle in the same state."""
    loss, oracle = case.build(**changes), case.oracle()
    batch = make_boxes(seed=99)
    loss(*batch)
    oracle.loss(*(x.tolist() for x in batch))
    flush_statistics(loss)
    oracle.end_step()
    return loss, oracle
