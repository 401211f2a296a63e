"""Another pipeline for the end of a training, in any wrappers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from imb_det.core.checks import check_number
from imb_det.core.listener import ClassStatsListener, StageListener
from imb_det.registry import HOOKS
from imb_det.runner_parts import hooks_of, restart_workers, samplers_of, transforms_of
from imb_det.samplers import EpochSampler
from imb_det.transforms.skipped_types import widen_skipped_types
from imb_det.transforms.switched_pipeline import switch_pipeline

from .imbalance_hook import ImbalanceHook
from .stage_hook import StageHook

__all__ = ["PipelineSwitchHook"]


@HOOKS.register_module()
class PipelineSwitchHook(Hook):
    """mmdet's hook, for training sets in wrappers, and with partners by weights.

    From an epoch on, the pipeline of the training is another one. mmdet's hook writes
    it to the outermost data set: a ``RepeatDataset``, ``ClassBalancedDataset`` or
    ``ConcatDataset`` never looks there, and ``MultiImageMixDataset`` goes on with the
    types of the old steps and leaves out what is longer. Here it goes to the outermost
    data sets that have a pipeline: to ``MultiImageMixDataset`` where there is one, in
    place of its own, else to the data sets with annotations. Transforms that mix images
    get the weights of the sampler, those that listen the counts of the classes and the
    stage, and data workers that live on are started anew.

    A training that resumes behind the switch begins with the new pipeline, with several
    of these hooks the latest.

    Args:
        switch_epoch: Epoch from which on it is at work, counted from 0, >= 0.
        switch_pipeline: Configs of the steps.

    Raises:
        TypeError: ``switch_epoch`` is no whole number, or the pipeline no list.
        ValueError: ``switch_epoch`` is below 0.
        FindingsError: From ``ImbalanceHook``, before the first iteration: a step cannot
            be built or gets no other images, or the training counts iterations or ends
            before the switch.

    Example:
        >>> steps = [dict(type="LoadImageFromFile"), dict(type="PackDetInputs")]
        >>> hook = dict(
        ...     type="imb_det.PipelineSwitchHook",
        ...     switch_epoch=280,
        ...     switch_pipeline=steps,
        ... )
    """

    def __init__(self, switch_epoch: int, switch_pipeline: Sequence[Mapping]) -> None:
        name = type(self).__name__
        if isinstance(switch_epoch, bool) or not isinstance(switch_epoch, int):
            raise TypeError(
                f"{name}: `switch_epoch` must be a whole number, got {switch_epoch!r}"
            )
        check_number(name, "switch_epoch", switch_epoch, 0, None)
        steps = switch_pipeline if isinstance(switch_pipeline, (list, tuple)) else ()
        if not steps or not all(isinstance(step, Mapping) for step in steps):
            raise TypeError(
                f"{name}: `switch_pipeline` must be a list of configs of transforms, "
                f"got {switch_pipeline!r}"
            )
        self.switch_epoch = switch_epoch
        self.switch_pipeline = list(switch_pipeline)
        self._has_switched = False

    def before_train(self, runner: Runner) -> None:
        """Begin with the pipeline that the data set has."""
        self._has_switched = False

    def before_train_epoch(self, runner: Runner) -> None:
        """Switch, once."""
        if self._has_switched or runner.epoch < self.switch_epoch:
            return
        self._has_switched = True
        hooks, loader = hooks_of(runner), runner.train_dataloader
        others = [hook for hook in hooks if isinstance(hook, PipelineSwitchHook)]
        if any(self.switch_epoch < o.switch_epoch <= runner.epoch for o in others):
            return
        switch_pipeline(loader.dataset, self.switch_pipeline)
        widen_skipped_types(hooks, loader.dataset)
        _tell(transforms_of(loader.dataset), hooks)
        for sampler in samplers_of(loader):
            if isinstance(sampler, EpochSampler):
                sampler.hand_over_weights(runner.epoch)
        restart_workers(runner)
        print_log(
            f"{type(self).__name__}: the pipeline of the training is another one from "
            f"epoch {runner.epoch + 1} on",
            logger="current",
        )


def _tell(steps: Sequence[Any], hooks: Iterable[Any]) -> None:
    """Tell new steps what others have been told when the training began."""
    for hook in hooks:
        stats = hook.class_stats if isinstance(hook, ImbalanceHook) else None
        stage = hook.stage if isinstance(hook, StageHook) else None
        for step in steps:
            if stats is not None and isinstance(step, ClassStatsListener):
                step.set_class_stats(stats)
            if stage is not None and isinstance(step, StageListener):
                step.set_stage(stage)
