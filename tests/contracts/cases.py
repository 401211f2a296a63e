"""Every classification loss of the library, in the forms that the contract tests.

A new loss needs an entry in ``CASES``: its name, its activation, its arguments, and
the oracle that says what it should return for three classes (with softmax, a fourth
entry of the weights is the background).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from imb_det.core import ClassStatsListener
from imb_det.losses import manage_statistics
from imb_det.registry import MODELS
from imb_det.statistics import ClassStats

from . import oracles

NUM_CLASSES = 3
NAMES = ("ant", "bee", "cat")
#: Counts with round weights: inverse 0.5, 0.5, 2 and, for "auto", odds 1/4, 1/4, 1/2.
STATS = ClassStats(NAMES, [3, 4, 1], [4, 4, 1], 6)
ONES = [1.0, 1.0, 1.0]


@dataclass(frozen=True)
class Case:
    """A loss with arguments.

    Attributes:
        loss: Registered name.
        activation: ``'softmax'``, ``'sigmoid'`` or ``'mask'``.
        oracle: Makes the reference; its state is that of a new loss.
        arguments: Of the loss, without ``use_sigmoid`` and ``use_mask``.
        difficulty: Weights for ``set_class_difficulty_weights``.
    """

    loss: str
    activation: str
    oracle: Callable[[], Any]
    arguments: dict = field(default_factory=dict)
    difficulty: tuple[float, ...] | None = None

    @property
    def sigmoid(self):
        return self.activation == "sigmoid"

    @property
    def config(self):
        switch = dict(use_mask=True) if self.activation == "mask" else {}
        if self.activation != "mask":
            switch = dict(use_sigmoid=self.sigmoid)
        return dict(type=f"imb_det.{self.loss}", **switch, **self.arguments)

    @property
    def any_classes(self):
        """Whether the arguments fit any number of classes."""
        if self.difficulty not in (None, (1.0, 1.0, 1.0)):
            return False
        return not any(isinstance(x, (list, dict)) for x in self.arguments.values())

    @property
    def counts_calls(self):
        """Whether it counts each call on each rank for itself, as some authors do."""
        return self.arguments.get("statistics") == "call"

    def build(self, stats=STATS, **changes):
        """A loss as it is after training has started."""
        return self.start(MODELS.build({**self.config, **changes}), stats)

    def start(self, loss, stats=STATS):
        """Do what the hooks do at the start."""
        for part in loss.modules():
            if isinstance(part, ClassStatsListener):
                part.set_class_stats(stats)
        if self.difficulty is not None:
            weights = torch.tensor(self.difficulty[: stats.num_classes])
            loss.set_class_difficulty_weights(weights)
        manage_statistics(loss)
        return loss

    def __str__(self):
        words = [f"{key}={value}" for key, value in self.arguments.items()]
        return "-".join([self.loss, self.activation, *words])


CASES = [
    Case(
        "CrossEntropyLoss",
        "softmax",
        lambda: oracles.softmax_cross_entropy([*ONES, 1.0]),
    ),
    Case(
        "CrossEntropyLoss",
        "softmax",
        lambda: oracles.softmax_cross_entropy([2.0, 1.0, 0.5, 0.25]),
        dict(class_weight=[2.0, 1.0, 0.5], bg_weight=0.25),
    ),
    Case(
        "CrossEntropyLoss",
        "softmax",
        lambda: oracles.softmax_cross_entropy([0.5, 0.5, 2.0, 1.0]),
        dict(class_weight="inverse"),
    ),
    Case("CrossEntropyLoss", "sigmoid", lambda: oracles.sigmoid_cross_entropy(ONES)),
    Case(
        "CrossEntropyLoss",
        "sigmoid",
        lambda: oracles.sigmoid_cross_entropy([1.0, 3.0, 1.0]),
        dict(class_weight=dict(bee=3.0)),
    ),
    Case(
        "CrossEntropyLoss",
        "sigmoid",
        lambda: oracles.sigmoid_cross_entropy([2.0, 1.0, 0.5], True, bg_weight=0.25),
        dict(class_weight=[2.0, 1.0, 0.5], weight_negatives=True, bg_weight=0.25),
    ),
    Case("CrossEntropyLoss", "mask", lambda: oracles.MaskOracle(ONES)),
    Case(
        "CrossEntropyLoss",
        "mask",
        lambda: oracles.MaskOracle([0.5, 0.5, 2.0], loss_weight=2.0),
        dict(class_weight="inverse", loss_weight=2.0),
    ),
    Case("FocalLoss", "sigmoid", lambda: oracles.focal_loss(2.0, [0.25] * 3)),
    Case(
        "FocalLoss",
        "sigmoid",
        lambda: oracles.focal_loss(1.5, [0.25, 0.5, 0.75], loss_weight=2.0),
        dict(gamma=1.5, alpha=[0.25, 0.5, 0.75], loss_weight=2.0),
    ),
    Case(
        "FocalLoss",
        "sigmoid",
        lambda: oracles.focal_loss(0.5, [0.2, 0.2, 1 / 3]),
        dict(gamma=0.5, alpha="auto"),
    ),
    Case("GHMCLoss", "sigmoid", lambda: oracles.StepGHM(30, 0.75)),
    Case(
        "GHMCLoss",
        "sigmoid",
        lambda: oracles.StepGHM(4, 0.75, floor=1.0, loss_weight=2.0),
        dict(bins=4, min_count=1.0, loss_weight=2.0),
    ),
    Case(
        "GHMCLoss",
        "sigmoid",
        lambda: oracles.StepGHM(3, 0.0, floor=2.5),
        dict(bins=3, momentum=0.0, min_count=2.5),
    ),
    Case(
        "GHMCLoss",
        "sigmoid",
        lambda: oracles.CallGHM(5, 0.75),
        dict(bins=5, statistics="call"),
    ),
    Case(
        "CDBLoss",
        "softmax",
        lambda: oracles.softmax_cdb(0.0, [0.5, 1.0, 1.5, 0.25]),
        dict(bg_weight=0.25),
        (0.5, 1.0, 1.5),
    ),
    Case(
        "CDBLoss",
        "softmax",
        lambda: oracles.softmax_cdb(0.5, [1.0] * 4),
        dict(gamma=0.5),
        (1.0, 1.0, 1.0),
    ),
    Case(
        "CDBLoss",
        "sigmoid",
        lambda: oracles.sigmoid_cdb(2.0, [0.5, 1.0, 1.5], True),
        dict(gamma=2.0),
        (0.5, 1.0, 1.5),
    ),
    Case(
        "CDBLoss",
        "sigmoid",
        lambda: oracles.sigmoid_cdb(0.0, [0.5, 1.0, 1.5], False),
        dict(weight_negatives=False),
        (0.5, 1.0, 1.5),
    ),
    Case(
        "CDBLoss",
        "mask",
        lambda: oracles.MaskOracle([0.5, 1.0, 1.5]),
        {},
        (0.5, 1.0, 1.5),
    ),
]


def of_activation(*activations):
    """The cases of some activations."""
    return [case for case in CASES if case.activation in activations]
