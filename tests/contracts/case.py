"""One loss with arguments, as the contract tests it.

A loss gets one :class:`Case` for each form of it that behaves in a way of its own. What
a test cannot ask of a loss it reads off its case: there is no list of exceptions.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from imb_det.core import ClassStatsListener, Stage
from imb_det.losses import manage_statistics
from imb_det.registry import MODELS
from imb_det.statistics import ClassStats

NUM_CLASSES = 3
NAMES = ("ant", "bee", "cat")
#: Counts with round weights: inverse 0.75, 0.75, 3 and, for "auto", odds 1/4, 1/4, 1/2.
STATS = ClassStats(NAMES, [3, 4, 1], [4, 4, 1], 6)


@dataclass(frozen=True)
class Case:
    """A loss with arguments.

    Most losses need the first four: name, activation, oracle and arguments. The others
    say in what a loss is not like most.

    Attributes:
        loss: Registered name.
        activation: ``'softmax'``, ``'sigmoid'`` or ``'mask'``: what ``use_sigmoid`` and
            ``use_mask`` are set to.
        oracle: Makes the reference, an :class:`~tests.contracts.oracles.Oracle` for
            ``NUM_CLASSES`` classes with the counts ``STATS``; its state is that of a
            new loss.
        arguments: Of the loss, without ``use_sigmoid`` and ``use_mask``. Those that
            draw at random must be set so that they do not: an oracle draws nothing.
        difficulty: Weights for ``set_class_difficulty_weights``.
        extra: Outputs beyond one a class, where they are not those of the activation:
            0 with a sigmoid and 1 with a softmax.
        scores: Probabilities of classes and, in the last column, of background (zeros
            where it has none), (N, C + 1), of logits (N, K), where they are not those
            of the activation, for ``NUM_CLASSES`` classes. Other heads than RoI heads
            then cannot have it.
        needs_classes: Whether labels must be classes, not soft targets.
        is_detached: Whether factors depend on the logits without a gradient: that of
            the loss then is another one than differences show, and its oracle has
            ``frozen(logits)``.
        is_bounded: Whether an infinite logit has a finite loss, that of a large one.
        progress: What part of a stage, ``'fading'``, is over; None where no stage
            matters.
        of_call: Whether a part of it is made of the rows of a call, on its rank.
        of_rows: Whether it is a loss of rows in dense heads too, with a sigmoid.
        idle: Which logits have no say in rows of given labels (N,), bool (N, K), where
            there are any; they may be anything, as those of ignored rows may.
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
    is_bounded: bool = False
    of_call: bool = False
    of_rows: bool = False
    idle: Callable[[torch.Tensor], torch.Tensor] | None = None
    progress: float | None = None

    @property
    def sigmoid(self):
        return self.activation == "sigmoid"

    @property
    def channels(self):
        """Outputs beyond one a class."""
        return self.activation == "softmax" if self.extra is None else self.extra

    #: Whether :meth:`of_classes` can make it one of any number of classes.
    any_classes = True

    @property
    def only_in_roi_heads(self):
        """Whether other heads do not make its outputs, or not its probabilities."""
        return self.scores is not None

    def all_scores(self, logits):
        """What an RoI head should predict, (N, C + 1), background last."""
        if self.scores is not None:
            return self.scores(logits)
        if self.sigmoid:
            return torch.nn.functional.pad(logits.sigmoid(), (0, 1))
        return logits.softmax(1)

    def probabilities(self, logits):
        """What a head should predict for the classes, (N, C)."""
        return self.all_scores(logits)[:, :-1]

    def best(self, logits):
        """The most likely class of each row, or background."""
        scores = self.all_scores(logits)
        if (scores[:, -1] == 0).all():
            scores[:, -1] = 0.5
        return scores.argmax(1)

    @property
    def config(self):
        switch = dict(use_mask=True) if self.activation == "mask" else {}
        if self.activation != "mask":
            switch = dict(use_sigmoid=self.sigmoid)
        return dict(type=f"imb_det.{self.loss}", **switch, **self.arguments)

    def of_classes(self, names):
        """The same with other classes: numbers of classes are repeated, or cut off."""

        def fitted(value):
            if isinstance(value, (list, tuple)):
                if len(value) == NUM_CLASSES:
                    return [value[i % NUM_CLASSES] for i in range(len(names))]
                return type(value)(map(fitted, value))
            if isinstance(value, dict) and set(value) <= set(NAMES):
                return {name: x for name, x in value.items() if name in names}
            if isinstance(value, dict):
                return {key: fitted(x) for key, x in value.items()}
            return value

        arguments = {key: fitted(value) for key, value in self.arguments.items()}
        return replace(self, arguments=arguments, difficulty=fitted(self.difficulty))

    def with_min_count(self, number):
        """The same with ``min_count``, of the loss that it is around if it is."""

        def added(arguments):
            inner = arguments.get("loss")
            if isinstance(inner, dict):
                return {**arguments, "loss": added(inner)}
            return {**arguments, "min_count": number}

        return replace(self, arguments=added(self.arguments))

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
            loss.set_class_difficulty_weights(torch.tensor(self.difficulty))
        if self.progress is not None:
            loss.set_stage(Stage("fading", 0, ("fading",)))
            loss.set_stage_progress(self.progress)
        manage_statistics(loss)
        return loss

    def __str__(self):
        words = [f"{key}={value}" for key, value in self.arguments.items()]
        return "-".join([self.loss, self.activation, *words])
