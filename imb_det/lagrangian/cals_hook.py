"""Finds the multipliers of CALS on held-out training images."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from imb_det.core import check_choice, check_number, on_main_process
from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity
from imb_det.difficulty.checks import check_counts
from imb_det.difficulty.held_out import build_held_out, check_held_out, run_held_out
from imb_det.losses import CALSLoss
from imb_det.registry import HOOKS
from imb_det.runner_parts import bare_model, models_of, refresh_averages
from imb_det.statistics import ClassStats

from .margin_meter import MarginMeter, cals_of, margin_losses
from .multipliers import Multipliers

__all__ = ["CALSHook"]

_NAME = "CALSHook"
#: Of a panoptic set, its things and its stuff.
_HEADS = (
    "Use CALSLoss in a head of all classes of the data set, such as "
    "`imb_det.Mask2FormerHead`, and remove CALSHook where there is none"
)


@HOOKS.register_module()
class CALSHook(Hook):
    r"""Find the multipliers of ``imb_det.CALSLoss`` on images held out from training.

    After every ``interval`` epochs it computes the losses of the held-out images, as
    ``ClassDifficultyHook`` does, and takes the means of their rows, background among
    them, into the multipliers of each head (:class:`~imb_det.lagrangian.Multipliers`).
    The images must not be those of a test: they choose what is trained on.
    ``ImbalanceHook`` must be among the hooks. The state is part of checkpoints; a
    training that resumes at the end of an epoch, or at an update, goes on exactly.

    Args:
        held_out: Data loader of the held-out images, as a ``train_dataloader``, without
            random transforms.
        multiplier_range: Smallest multiplier, at which all start, > 0, and largest.
            Default (1e-6, 1e6).
        rho_range: Factor of the penalty at the start, > 0, and the largest. Default
            (1, 10).
        rho_interval: Updates from one change of the factors to the next; None to leave
            them. Default 1.
        rho_factor: What they are multiplied by, >= 1. Default 1.2.
        progress: They are, unless the mean constraint of a class has come down to this
            share, in [0, 1]. Default 0.9.
        interval: Epochs (iterations) from one update to the next. Default 1.
        by_epoch: Whether ``interval`` counts epochs, else iterations. Default True.

    Raises:
        TypeError, ValueError: Bad arguments; or, when training starts, a part that is
            missing, with what to add.
        RuntimeError: When training starts, without ``ImbalanceHook``.

    Source: Liu et al., "Class Adaptive Network Calibration", CVPR 2023, and the code of
    the authors, which takes its validation set for this. It changes the factors every
    10 of 200 epochs, or never; detectors train for 12.
    """

    priority = "NORMAL"

    def __init__(
        self,
        held_out: dict[str, Any] | DataLoader | None = None,
        multiplier_range: Sequence[float] = (1e-6, 1e6),
        rho_range: Sequence[float] = (1.0, 10.0),
        rho_interval: int | None = 1,
        rho_factor: float = 1.2,
        progress: float = 0.9,
        interval: int = 1,
        by_epoch: bool = True,
    ) -> None:
        check_held_out(_NAME, held_out, "it")
        self.ranges = (
            _range("multiplier_range", multiplier_range),
            _range("rho_range", rho_range),
        )
        check_number(_NAME, "rho_factor", rho_factor, 1, None)
        check_number(_NAME, "progress", progress, 0, 1)
        check_choice(_NAME, "by_epoch", by_epoch, (True, False))
        _whole("interval", interval)
        if rho_interval is not None:
            _whole("rho_interval", rho_interval)
        self.held_out: Any = held_out
        self.rho_interval, self.interval = rho_interval, interval
        self.settings = (float(rho_factor), float(progress))
        self.by_epoch = by_epoch
        self.class_stats: ClassStats | None = None
        self.multipliers: dict[str, Multipliers] = {}
        self._meter: MarginMeter | None = None
        self._loader: DataLoader | None = None
        self._loaded: dict[str, Any] | None = None
        self._is_training = False

    def set_class_stats(self, stats: ClassStats) -> None:
        """Take the counts of the training set from ``ImbalanceHook``."""
        self.class_stats = stats

    def findings(self, context: CheckContext) -> Iterator[Finding]:
        """Yield what the training to come lacks; ``ImbalanceHook`` asks."""
        loop = context.train_loop
        if loop is None:
            return
        what = "multipliers cannot be found and used"
        if not any(isinstance(part, CALSLoss) for part in context.components):
            yield Finding(
                "cals",
                Severity.ERROR,
                what,
                _NAME,
                "no head has a CALSLoss",
                "Write `loss_cls=dict(type='imb_det.CALSLoss', loss=dict("
                "type='imb_det.CrossEntropyLoss'))`, or remove CALSHook",
            )
        elif context.model is not None and context.class_stats is not None:
            try:
                margin_losses(context.model, context.class_stats.num_classes)
            except ValueError as error:
                yield Finding("cals", Severity.ERROR, what, _NAME, str(error), _HEADS)
        if self.by_epoch and not isinstance(loop, EpochBasedTrainLoop):
            yield Finding(
                "cals",
                Severity.ERROR,
                what,
                _NAME,
                f"it counts epochs, but {type(loop).__name__} counts iterations",
                "Set `by_epoch=False`, and `interval` to a number of iterations",
            )

    def before_train_epoch(self, runner: Runner) -> None:
        """Check everything and hand the first multipliers over, at the start."""
        # Not in `before_train`, where hooks that hand counts over may still follow.
        if not self._is_training:
            self._is_training = True
            self._start(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Update after every ``interval`` epochs."""
        if self.by_epoch and (runner.epoch + 1) % self.interval == 0:
            self._update(runner)

    def after_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        """Update after every ``interval`` iterations."""
        if not self.by_epoch and (runner.iter + 1) % self.interval == 0:
            self._update(runner)

    def after_train(self, runner: Runner) -> None:
        """Forget that there was a training."""
        self._is_training = False

    def before_save_checkpoint(
        self, runner: Runner, checkpoint: dict[str, Any]
    ) -> None:
        """Put the state into the checkpoint."""
        if self.multipliers:
            content = {name: m.to_dict() for name, m in self.multipliers.items()}
            checkpoint.setdefault("imb_det", {})["cals"] = content

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Remember the state of the checkpoint, for a training that resumes."""
        self._loaded = checkpoint.get("imb_det", {}).get("cals")

    def _start(self, runner: Runner) -> None:
        """Check what training needs, take up the state, hand multipliers over."""
        stats = check_counts(self.class_stats, _NAME)
        losses = margin_losses(bare_model(runner), stats.num_classes)
        outputs = stats.num_classes + 1
        self._meter = MarginMeter(losses, outputs, self.ranges[0])
        self._loader = build_held_out(
            self.held_out, stats, runner, _NAME, "multipliers will be too small"
        )
        dataset: Any = self._loader.dataset
        self.multipliers = {
            name: Multipliers(outputs, *self.ranges, *self.settings) for name in losses
        }
        if runner.iter > 0:
            for name, multipliers in self.multipliers.items():
                state = (self._loaded or {}).get(name)
                if state is not None:
                    multipliers.load_dict(state)
                    continue
                print_log(
                    f"{_NAME}: the checkpoint holds no multipliers of `{name}`, they "
                    "are found from now on",
                    logger="current",
                    level=logging.WARNING,
                )
        print_log(
            f"{_NAME}: multipliers of {', '.join(losses)} are found on {len(dataset)} "
            "held-out images",
            logger="current",
        )
        self._hand_over(runner)
        refresh_averages(runner)

    def _update(self, runner: Runner) -> None:
        """Measure, update, alike on all ranks, and hand over; every rank gets here."""
        if self._meter is None or self._loader is None:
            raise RuntimeError(f"{_NAME}: an update before the training")
        run_held_out(runner, bare_model(runner), self._loader, self._meter)
        self._meter.collect()
        means = self._meter.means()

        def work() -> dict[str, dict[str, Any]]:
            pairs = zip(self.multipliers.items(), means, strict=True)
            for (_, multipliers), found in pairs:
                every = self.rho_interval
                if found is not None:
                    due = every is not None and (multipliers.updates + 1) % every == 0
                    multipliers.update(*found, with_rho=due)
            return {name: m.to_dict() for name, m in self.multipliers.items()}

        # Other processors may round otherwise: rank 0 computes for all.
        states = on_main_process(work)
        for name, multipliers in self.multipliers.items():
            multipliers.load_dict(states[name])
            self._report(runner, name, multipliers)
        self._hand_over(runner)

    def _hand_over(self, runner: Runner) -> None:
        """Tell the losses of the model, and of moving averages of it."""
        for model in models_of(runner):
            for name, multipliers in self.multipliers.items():
                cals_of(model.get_submodule(name)).set_multipliers(
                    torch.from_numpy(multipliers.multiplier).float(),
                    torch.from_numpy(multipliers.rho).float(),
                )

    def _report(self, runner: Runner, name: str, multipliers: Multipliers) -> None:
        """Write a line into the log, and the extremes as scalars."""
        if self.class_stats is None or not multipliers.updates:
            return
        names = [*self.class_stats.classes, "background"]
        low, high = multipliers.multiplier.argmin(), multipliers.multiplier.argmax()
        mean = float(multipliers.multiplier.mean())
        print_log(
            f"{_NAME}: multipliers of `{name}` from {multipliers.multiplier[low]:.3g} "
            f"({names[low]!r}) to {multipliers.multiplier[high]:.3g} "
            f"({names[high]!r}), mean {mean:.3g}; rho up to "
            f"{multipliers.rho.max():.3g}",
            logger="current",
        )
        place = name.removesuffix(".loss_cls").replace(".", "_")
        for key, value in (
            ("multiplier_mean", mean),
            ("multiplier_max", float(multipliers.multiplier[high])),
            ("rho_max", float(multipliers.rho.max())),
        ):
            runner.message_hub.update_scalar(f"train/cals_{place}_{key}", value)


def _range(name: str, ends: Any) -> tuple[float, float]:
    """Return two numbers above 0, the first no larger than the second.

    Raises:
        TypeError, ValueError: They are not.
    """
    if isinstance(ends, str) or not isinstance(ends, Sequence) or len(ends) != 2:
        raise TypeError(f"{_NAME}: `{name}` must be two numbers, got {ends!r}")
    for end in ends:
        check_number(_NAME, name, end, 0, None, open_ends=True)
    if ends[0] > ends[1]:
        raise ValueError(f"{_NAME}: `{name}` must rise, got {ends!r}")
    return float(ends[0]), float(ends[1])


def _whole(name: str, value: Any) -> None:
    """Refuse what is no whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(
            f"{_NAME}: `{name}` must be a whole number of at least 1, got {value!r}"
        )
