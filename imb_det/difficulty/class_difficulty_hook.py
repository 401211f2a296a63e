"""Measures how difficult each class is, and hands weights over."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding
from imb_det.core.listener import ClassDifficultyListener
from imb_det.core.main_process import on_main_process
from imb_det.registry import HOOKS
from imb_det.runner_parts import bare_model, refresh_averages
from imb_det.statistics import ClassStats

from .accuracy_meter import AccuracyMeter
from .checks import (
    check_arguments,
    check_counts,
    listeners_of,
    start_findings,
    was_validated,
)
from .class_accuracy import accuracy_of_metrics, hits, true_class_probability
from .held_out import build_held_out, run_held_out
from .loss_meter import class_losses
from .report import report
from .tracker import DifficultyTracker

__all__ = ["ClassDifficultyHook"]


@HOOKS.register_module()
class ClassDifficultyHook(Hook):
    r"""Weigh the classes up that the detector does badly on, during training.

    With the accuracy :math:`A_c` of each class, smoothed over the updates,

    .. math:: d_c = 1 - A_c, \quad w_c \propto d_c^{\tau}, \quad \sum_c w_c = C

    The weights go to every part of the model, every training sampler and every other
    hook with a method ``set_class_difficulty_weights(weights)`` (float32, (C,)), such
    as ``imb_det.CDBLoss``. They are 1 until ``warmup`` is over. ``ImbalanceHook`` must
    be among the hooks. The paper classifies images; what accuracy means in detection
    is our own choice:

    - ``'recall'``: the share of positive anchors, boxes or queries of a class, on
      training images held out from training, whose highest score is that of the class.
    - ``'score'``: the mean predicted probability of the true class, over the positive
      ones of the training steps since the last update. Costs next to nothing.
    - ``'ap'``: the average precision of the class in the validation. The images that
      choose the weights are then no longer a test of the result.

    Query-based heads count every decoder layer, and the denoising queries as well;
    two-stage Deformable DETR trains its proposals as class 0, and so they count. A
    class that is not measured keeps its accuracy; one that never was takes the mean of
    its frequency group, or of all. Each update brings a line in the log, scalars
    ``cdb_*`` and a line of ``class_difficulty.jsonl`` in the work folder; the state is
    part of checkpoints. A training that resumes at the end of an epoch, or at an
    update, goes on exactly. With ``'ap'`` it first repeats the validation that
    followed the checkpoint.

    Args:
        source: ``'recall'``, ``'ap'`` or ``'score'``. Default: ``'recall'``.
        held_out: For ``'recall'``, the data loader of the held-out images, as a
            ``train_dataloader``, without random transforms. Default: None.
        tau: Exponent, at least 0, or ``'dynamic'``: between about 1, where all classes
            are alike, and 2; or ``'dynamic_cifar'``: between about 0.73 and 1. The
            authors' code has both, see :func:`dynamic_tau`. Default: ``'dynamic'``.
        momentum: Share of the past in the smoothed accuracy, in [0, 1); the first
            value is taken as it is. Default: 0.5, as detectors train for 8 to 24
            epochs.
        max_ratio: Largest over smallest weight, at least 1, or None. Default: 100.
        warmup: Epochs (iterations) at the beginning with weight 1. Default: 1.
        interval: Epochs (iterations) from one update to the next; with ``'ap'``, the
            first validation after that. Default: 1.
        by_epoch: Whether ``warmup`` and ``interval`` count epochs, else iterations.
            Default: True.
        background_is_error: For ``'recall'``, whether a row is wrong too if background
            wins: with softmax the background column, with sigmoid a probability of at
            most 0.5. Default: False.

    Raises:
        ValueError, TypeError: Bad arguments; or, when training starts, a part that is
            missing, with what to add.
        RuntimeError: When training starts, without ``ImbalanceHook``.

    Source: Sinha, Ohashi, Nakamura, "Class-Wise Difficulty-Balanced Loss for Solving
    Class-Imbalance", ACCV 2020, and "Class-Difficulty Based Methods for Long-Tailed
    Visual Recognition", IJCV 2022. Their definition of accuracy in detection could not
    be confirmed. Smoothing, filling, warm-up and the limit are our own.
    """

    priority = "NORMAL"

    def __init__(
        self,
        source: str = "recall",
        held_out: dict[str, Any] | DataLoader | None = None,
        tau: float | str = "dynamic",
        momentum: float = 0.5,
        max_ratio: float | None = 100.0,
        warmup: int = 1,
        interval: int = 1,
        by_epoch: bool = True,
        background_is_error: bool = False,
    ) -> None:
        check_arguments(
            source,
            held_out,
            tau,
            momentum,
            max_ratio,
            warmup,
            interval,
            by_epoch,
            background_is_error,
        )
        self.source = source
        self.held_out = held_out
        self.settings = (tau, momentum, max_ratio)
        self.warmup = warmup
        self.interval = interval
        self.by_epoch = by_epoch
        self.background_is_error = background_is_error
        self.class_stats: ClassStats | None = None
        self.tracker: DifficultyTracker | None = None
        self._meter: AccuracyMeter | None = None
        self._loader: DataLoader | None = None
        self._listeners: list[ClassDifficultyListener] = []
        self._handed: np.ndarray | None = None  # weights that the listeners have
        self._loaded: dict[str, Any] | None = None  # of a checkpoint
        self._is_training = False
        self._listening = ExitStack()

    def set_class_stats(self, stats: ClassStats) -> None:
        """Take the counts of the training set from ``ImbalanceHook``.

        Counts that come in mid-training guide what unmeasured classes get from the next
        update on.
        """
        self.class_stats = stats
        if self.tracker is not None:
            self.tracker.set_class_stats(stats)

    def findings(self, context: CheckContext) -> Iterator[Finding]:
        """Yield what the training to come lacks; ``ImbalanceHook`` asks."""
        if context.train_loop is not None:
            yield from start_findings(context, self.source, self.by_epoch)

    def before_train_epoch(self, runner: Runner) -> None:
        """Check everything and hand the first weights over, when training starts."""
        # Not in `before_train`, where hooks that hand counts over may still follow.
        if not self._is_training:
            self._is_training = True
            self._start(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Update after every ``interval`` epochs."""
        if self.by_epoch:
            self._step(runner, runner.epoch + 1)

    def after_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        """Update after every ``interval`` iterations."""
        if not self.by_epoch:
            self._step(runner, runner.iter + 1)

    def after_val_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Update from the average precision, if that is the source."""
        if self.source != "ap" or self.tracker is None or not self._is_training:
            return
        position = self._position(runner)
        if position - self.tracker.last_update >= self.interval:
            classes = self.tracker.stats.classes
            self._update(runner, accuracy_of_metrics(metrics or {}, classes), position)

    def after_train(self, runner: Runner) -> None:
        """Stop listening."""
        self._listening.close()
        self._is_training = False

    def before_save_checkpoint(
        self, runner: Runner, checkpoint: dict[str, Any]
    ) -> None:
        """Put the state into the checkpoint."""
        if self.tracker is None:
            return
        state = self.tracker.to_dict()
        if self.source == "score" and self._meter is not None:
            state["score_sums"] = self._meter.total.tolist()
        checkpoint.setdefault("imb_det", {})["class_difficulty"] = state

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Remember the state of the checkpoint, for a training that resumes."""
        self._loaded = checkpoint.get("imb_det", {}).get("class_difficulty")

    def _start(self, runner: Runner) -> None:
        """Check what training needs, take up the state, hand weights over."""
        stats = check_counts(self.class_stats)
        self._listeners = listeners_of(runner)
        what = "validation"
        if self.source != "ap":
            losses = class_losses(bare_model(runner), stats.num_classes)
            is_recall = self.source == "recall"
            self._meter = AccuracyMeter(
                losses,
                stats.num_classes,
                hits(self.background_is_error) if is_recall else true_class_probability,
                only_training=not is_recall,
            )
            what = ", ".join(losses)
        if self.held_out is not None:
            self._loader = build_held_out(self.held_out, stats, runner)
            dataset: Any = self._loader.dataset
            what += f" on {len(dataset)} held-out images"
        tracker = DifficultyTracker(stats, *self.settings)
        if runner.iter > 0:
            self._resume(tracker)
        if self._meter is not None and self.source == "score":
            self._listening.enter_context(self._meter.listening())
        self.tracker = tracker
        names = sorted({type(listener).__name__ for listener in self._listeners})
        print_log(
            f"ClassDifficultyHook: accuracy is source='{self.source}' of {what}; "
            f"weights go to {', '.join(names)}",
            logger="current",
        )
        position = self._position(runner)
        self._hand_over(position)
        refresh_averages(runner)
        if (
            self.source == "ap"
            and runner.iter > 0
            and position - tracker.last_update >= self.interval
            and was_validated(runner)
        ):
            # A checkpoint is saved before the validation that follows it.
            print_log(
                "ClassDifficultyHook: repeats the validation after the checkpoint",
                logger="current",
            )
            runner.val_loop.run()

    def _resume(self, tracker: DifficultyTracker) -> None:
        """Take up the state of the checkpoint."""
        if self._loaded is None:
            print_log(
                "ClassDifficultyHook: the checkpoint holds no class difficulty, it is "
                "measured from now on",
                logger="current",
                level=logging.WARNING,
            )
            return
        tracker.load_dict(self._loaded)
        sums = self._loaded.get("score_sums")
        if self.source == "score" and self._meter is not None and sums is not None:
            self._meter.total = np.array(sums, float)

    def _position(self, runner: Runner) -> int:
        """Return the epochs or iterations that are over, between two of them."""
        return runner.epoch if self.by_epoch else runner.iter

    def _step(self, runner: Runner, position: int) -> None:
        """Measure and update if it is time to; every rank gets here."""
        is_due = position % self.interval == 0
        meter = self._meter
        if meter is None:
            self._hand_over(position)
            return
        if is_due and self._loader is not None:
            run_held_out(runner, bare_model(runner), self._loader, meter)
        # Each epoch, so that its checkpoint has the sums of all ranks.
        if is_due or self.by_epoch:
            meter.collect()
        if is_due:
            self._update(runner, meter.accuracy(), position)
        self._hand_over(position)

    def _update(self, runner: Runner, accuracy: np.ndarray, position: int) -> None:
        """Turn new accuracies into weights, alike on all ranks; log them."""
        tracker = self.tracker
        if tracker is None:
            raise RuntimeError("ClassDifficultyHook: an update before the training")

        def work() -> tuple[str, dict[str, Any]]:
            return tracker.update(accuracy, position), tracker.to_dict()

        # Other processors may round otherwise: rank 0 computes for all.
        line, state = on_main_process(work)
        tracker.load_dict(state)
        self._hand_over(position)
        place = {"epoch" if self.by_epoch else "iter": position}
        report(runner, tracker, accuracy, line, **place, source=self.source)

    def _hand_over(self, position: int) -> None:
        """Give the weights, or ones during the warm-up, to those without them."""
        if self.tracker is None:
            return
        weights = self.tracker.weights
        if position < self.warmup:
            weights = np.ones_like(weights)
        if self._handed is not None and np.array_equal(weights, self._handed):
            return
        self._handed = weights.copy()
        for listener in self._listeners:
            listener.set_class_difficulty_weights(torch.from_numpy(weights).float())
