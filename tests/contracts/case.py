"""One loss with arguments, as the contract tests it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from imb_det.core import ClassStatsListener, Stage
from imb_det.losses import manage_statistics
from imb_det.registry import MODELS
from imb_det.statistics import ClassStats

NUM_CLASSES = 3
NAMES = ("ant", "bee", "cat")
#: Counts with round weights: inverse 0.5, 0.5, 2 and, for "auto", odds 1/4, 1/4, 1/2.
STATS = ClassStats(NAMES, [3, 4, 1], [4, 4, 1], 6)


@dataclass(frozen=True)
class Case:
    """A loss with arguments.

    Attributes:
        loss: Registered name.
        activation: ``'softmax'``, ``'sigmoid'`` or ``'mask'``.
        oracle: Makes the reference; its state is that of a new loss.
        arguments: Of the loss, without ``use_sigmoid`` and ``use_mask``.
        difficulty: Weights for ``set_class_difficulty_weights``.
        extra: Outputs beyond one a class, where they are not those of the activation.
        scores: Probabilities of classes and, in the last column, of background, of
            logits (N, K), where they are not those of the activation.
        needs_classes: Whether labels must be classes, not soft targets.
        is_detached: Whether factors depend on the logits without a gradient: that of
            the loss then is another one than differences show.
        progress: What part of a stage, ``'fading'``, is over; None where no stage
            matters.
        of_call: Whether a part of it is made of the rows of a call, on its rank.
    """

    loss: str
    activation: str
    oracle: Callable[[], Any]
    arguments: dict = field(default_factory=dict)
    difficulty: tuple[float, ...] | None = None
    extra: int | None = None
    scores: Callable[[torch.Tensor], torch.Tensor] | None = None
    needs_classes: bool = False
    is_detached: bool = False
    of_call: bool = False
    progress: float | None = None

    @property
    def sigmoid(self):
        return self.activation == "sigmoid"

    @property
    def channels(self):
        """Outputs beyond one a class."""
        return self.activation == "softmax" if self.extra is None else self.extra

    @property
    def only_in_roi_heads(self):
        """Whether other heads do not make its outputs, or not its probabilities."""
        return self.scores is not None

    def probabilities(self, logits):
        """What a head should predict for the classes, (N, C)."""
        if self.scores is not None:
            return self.scores(logits)[:, :NUM_CLASSES]
        scores = logits.sigmoid() if self.sigmoid else logits.softmax(1)
        return scores[:, :NUM_CLASSES]

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
        return self.of_call or self.arguments.get("statistics") == "call"

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
        if self.progress is not None:
            loss.set_stage(Stage("fading", 0, ("fading",)))
            loss.set_stage_progress(self.progress)
        manage_statistics(loss)
        return loss

    def __str__(self):
        words = [f"{key}={value}" for key, value in self.arguments.items()]
        return "-".join([self.loss, self.activation, *words])
