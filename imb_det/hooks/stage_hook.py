"""Leads a training through its stages."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, raise_findings
from imb_det.core.hand_over import HandOver
from imb_det.core.listener import Stage, StageListener, StageProgressListener
from imb_det.core.schedule import Schedule
from imb_det.core.stage_lengths import StageLengths
from imb_det.core.stage_plan import StagePlan
from imb_det.registry import HOOKS
from imb_det.runner_parts import components_of, places_of, refresh_averages

__all__ = ["StageHook"]


@HOOKS.register_module()
class StageHook(Hook):
    """Tell all that listen which stage a training is in: plain, then re-weighted, say.

    Whatever has a method ``set_stage(stage)`` (:class:`~imb_det.core.StageListener`)
    hears of the first stage before the first iteration, and of each other one before
    its own first iteration: modules of the model and of its moving averages, the
    samplers and transforms of the training, metrics and hooks. What is configured for
    stages by name tells so by an attribute ``stage_names``; ``ImbalanceHook`` refuses
    names that no stage has. Whatever has a method ``set_stage_progress(progress)``
    (:class:`~imb_det.core.StageProgressListener`), such as a loss that fades into
    another one, hears before every iteration which share of the stage is over; the log
    then has it as ``stage_progress``.

    The stage follows from the epochs or iterations that are over, so that a training
    that resumes is in the stage that it was in. Checkpoints carry the plan and the
    stage; a test alone tells it to the model and the metrics. A resume with another
    plan brings a warning and follows the new one.

    It runs after ``ImbalanceHook`` and before hooks of normal priority. Samplers that
    change within an epoch, with ``iters=``, do so for batches that are not drawn yet.

    Args:
        stages: For each stage, ``dict(name=..., epochs=...)``, ``dict(name=...,
            iters=...)``, ``dict(name=..., share=...)``, a share of the iterations of
            the training, in (0, 1), or ``dict(name=..., until='lr_step')``: until
            ``MultiStepLR`` or ``StepLR`` next steps, whichever schedulers there are.
            The last may have a name alone and goes on to the end. Else they must add up
            to the length of the training.

    Raises:
        TypeError, ValueError: Stages that cannot be understood; when training starts,
            stages that do not fill it, or a learning rate without steps.

    Example:
        Deferred re-weighting, with a loss whose ``class_weight`` is
        ``dict(stages=dict(plain=None, reweighted="effective_number"))``:

        >>> custom_hooks = [
        ...     dict(type="imb_det.ImbalanceHook"),
        ...     dict(
        ...         type="imb_det.StageHook",
        ...         stages=[
        ...             dict(name="plain", until="lr_step"),
        ...             dict(name="reweighted"),
        ...         ],
        ...     ),
        ... ]

    Source: Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware
    Margin Loss", NeurIPS 2019, whose second stage begins at the first step of the
    learning rate, after 0.8 of the training.
    """

    priority = "ABOVE_NORMAL"

    def __init__(self, stages: Sequence[Mapping[str, Any]]) -> None:
        self.stages = StageLengths.from_config(type(self).__name__, stages)
        self.plan: StagePlan | None = None  # in the training that goes on
        self.stage: Stage | None = None
        self._stored: StagePlan | None = None  # of a checkpoint
        self._hand_over = HandOver(StageListener, "set_stage")
        self._schedule: Schedule | None = None
        self._following: list[StageProgressListener] = []

    def findings(self, context: CheckContext) -> Iterator[Finding]:
        """Yield what does not fit the training to come."""
        if context.train_loop is not None:
            schedule = Schedule.of(context.train_loop, context.param_schedulers)
            yield from self.stages.findings(schedule)

    def before_train(self, runner: Runner) -> None:
        """Enter the first stage, or the one in which the training goes on."""
        schedule = Schedule.of(runner.train_loop, runner.param_schedulers)
        raise_findings(self.stages.findings(schedule), type(self).__name__)
        self._schedule, self.plan = schedule, self.stages.plan(schedule)
        if runner.iter > 0 and self._stored not in (None, self.plan):
            print_log(
                f"StageHook: the stages are {self.plan}, those of the checkpoint were "
                f"{self._stored}; the training follows the new ones",
                logger="current",
                level=logging.WARNING,
            )
        self.stage = None
        self._enter(runner)

    def before_train_epoch(self, runner: Runner) -> None:
        """Enter the next stage, if it is time."""
        self._enter(runner)

    def before_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        """Enter the next stage, if it is time; tell how much of it is over."""
        if self.plan is None or self.stage is None or self._schedule is None:
            return
        if not self.plan.by_epoch:
            self._enter(runner)
        if self._following:
            begin, end = self.plan.span_of(self.stage, self._schedule)
            progress = (runner.iter - begin) / (end - begin)
            for component in self._following:
                component.set_stage_progress(progress)
            runner.message_hub.update_scalar("train/stage_progress", progress)

    def before_val(self, runner: Runner) -> None:
        """Tell the stage of the checkpoint, where validation runs alone."""
        self._tell(runner, runner.val_loop)

    def before_test(self, runner: Runner) -> None:
        """Tell the stage of the checkpoint, or of the training before."""
        self._tell(runner, runner.test_loop)

    def before_save_checkpoint(
        self, runner: Runner, checkpoint: dict[str, Any]
    ) -> None:
        """Put plan and stage into the checkpoint."""
        if self.stage is not None and self.plan is not None:
            content = {"name": self.stage.name, "plan": self.plan.to_dict()}
            checkpoint.setdefault("imb_det", {})["stage"] = content

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Take plan and stage from the checkpoint."""
        content = checkpoint.get("imb_det", {}).get("stage")
        if content is not None:
            self._stored = StagePlan.from_dict(content["plan"])
            names = self._stored.names
            self.stage = Stage(content["name"], names.index(content["name"]), names)

    def in_effect(self) -> tuple[str, str]:
        """Return the stages, and the present one."""
        if self.stage is None:
            return "", ""
        return ", ".join(self.stage.names), f"stage {self.stage.name!r}"

    def _enter(self, runner: Runner) -> None:
        """Tell everyone the stage of this moment, if it is a new one."""
        if self.plan is None:
            return
        position = runner.epoch if self.plan.by_epoch else runner.iter
        stage = self.plan.stage_at(position)
        if stage == self.stage:
            return
        self.stage = stage
        told = self._tell(runner, runner.val_loop, for_training=True)
        components = components_of(runner, for_training=True, with_proposals=True)
        self._following = [
            c for c in components if isinstance(c, StageProgressListener)
        ]
        names = sorted({type(component).__name__ for component in told})
        print_log(
            f"StageHook: stage {stage.name!r} ({stage.index + 1} of "
            f"{len(stage.names)}) from {self.plan.unit[:-1]} {position + 1} on; told "
            f"to {', '.join(names) or 'no component, as none listens'}",
            logger="current",
        )

    def _tell(self, runner: Runner, loop: Any, for_training: bool = False) -> list[Any]:
        """Hand the stage over to those who do not know it yet."""
        if self.stage is None:
            return []
        components = components_of(
            runner, loop, for_training=for_training, with_proposals=True
        )
        told = self._hand_over(components, self.stage, places_of(runner))
        if told and for_training:
            refresh_averages(runner)
        return told
