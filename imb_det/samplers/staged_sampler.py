"""A sampler for each stage of a training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from mmengine.dist import is_main_process
from mmengine.logging import print_log

from imb_det.core import Stage
from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity
from imb_det.core.schedule import Schedule
from imb_det.core.stage_lengths import StageLengths
from imb_det.registry import DATA_SAMPLERS
from imb_det.statistics import ClassStats

from .base import EpochSampler

__all__ = ["StagedSampler"]

_COMMON = ("dataset", "seed", "shuffle", "round_up", "num_samples")


@DATA_SAMPLERS.register_module()
class StagedSampler(EpochSampler):
    """Draw images by another rule in each stage of the training.

    Features are learnt from images as they are, the classifier after them from classes
    alike. ``StageHook`` tells the stage; before it does, the first one is drawn. All
    epochs are equally long, so that the schedule stays. The receipt in the work folder
    is that of the first stage, and the log has one for each stage that begins.

    Args:
        dataset: Built mmengine data set, in any wrappers.
        stages: By name of the stage, the config of a sampler of the library without
            the arguments below, such as ``dict(type='imb_det.ClassAwareSampler')``; or
            None for every image once. A ``CDBSampler`` is none of them.
        seed: Seed that all ranks share. Default: None, drawn once for all ranks.
        shuffle: Whether to shuffle the epoch. Default: True.
        round_up: Whether to fill an epoch up until all ranks have equally many images.
            Default: True.
        num_samples: Images of an epoch, over all ranks. Default: None, or
            ``'dataset'``: as many as the data set has.

    Raises:
        ValueError, TypeError: Names the argument, the stage, what was given and what
            is valid; when training starts, stages that begin within an epoch.

    Example:
        >>> sampler = dict(
        ...     type="imb_det.StagedSampler",
        ...     stages=dict(
        ...         features=None, classifier=dict(type="imb_det.ClassAwareSampler")
        ...     ),
        ... )

    Source: ours; the two stages are those of Kang et al., "Decoupling Representation
    and Classifier for Long-Tailed Recognition", ICLR 2020.
    """

    weights_are_copies = False
    changes = True

    def __init__(
        self,
        dataset: Any,
        stages: Mapping[str, Any],
        seed: int | None = None,
        shuffle: bool = True,
        round_up: bool = True,
        num_samples: int | str | None = None,
    ) -> None:
        name = type(self).__name__
        if not isinstance(stages, Mapping) or not stages:
            raise TypeError(
                f"{name}: `stages` must be a dict by the name of the stage, such as "
                "`dict(features=None, classifier=dict(type='imb_det.ClassAwareSampler'"
                f"))`, got {stages!r}"
            )
        self.stages = {key: _checked(name, key, c) for key, c in stages.items()}
        super().__init__(dataset, seed, shuffle, round_up, num_samples)

    @property
    def stage_names(self) -> tuple[str, ...]:
        """Stages that the config names."""
        return tuple(self.stages)

    def prepare(self) -> None:
        """Build the samplers of the stages, which write their receipts to the log."""
        self.stage = next(iter(self.stages))
        common = dict(seed=self.seed, shuffle=self.shuffle, round_up=self.round_up)
        self.samplers: dict[str, EpochSampler | None] = {}
        for name, config in self.stages.items():
            built = None
            if config is not None:
                if is_main_process():
                    print_log(f"StagedSampler, stage {name!r}:", logger="current")
                given: dict[str, Any] = dict(config, dataset=self.dataset, **common)
                built = DATA_SAMPLERS.build(dict(given, num_samples="dataset"))
            self.samplers[name] = built

    def set_stage(self, stage: Stage) -> None:
        """Draw by the rule of a stage from the next epoch on.

        Raises:
            ValueError: The config names no such stage.
        """
        if stage.name not in self.stages:
            raise ValueError(
                f"StagedSampler: `stages` names {list(self.stages)}, but the training "
                f"enters {stage.name!r}"
            )
        self.stage = stage.name

    def set_class_stats(self, stats: ClassStats) -> None:
        """Hand the limits of groups on to the samplers of the stages."""
        super().set_class_stats(stats)
        for sampler in self.samplers.values():
            if sampler is not None:
                sampler.set_class_stats(stats)

    def findings(self, context: CheckContext) -> Iterator[Finding]:
        """Yield stages that begin where no epoch does."""
        if context.train_loop is None:
            return
        schedule = Schedule.of(context.train_loop, context.param_schedulers)
        for hook in context.hooks:
            lengths = getattr(hook, "stages", None)
            if not isinstance(lengths, StageLengths):
                continue
            fits = not any(lengths.findings(schedule))
            if not fits or len(lengths.names) < 2 or lengths.plan(schedule).by_epoch:
                continue
            begins, epoch = lengths.plan(schedule).begins, schedule.epoch_length
            if epoch is not None and not any(begin % epoch for begin in begins):
                continue
            yield Finding(
                "staged_sampler",
                Severity.ERROR,
                "a stage begins within an epoch, whose images are drawn already",
                type(self).__name__,
                f"the stages are {lengths}",
                "Count the stages in `epochs=`, in a loop of epochs",
            )

    def image_weights(self, epoch: int) -> np.ndarray:
        """Return the weights of the stage of the moment."""
        sampler = self.samplers[self.stage]
        if sampler is None:
            return np.ones(len(self.table))
        return sampler.image_weights(epoch)

    def describe(self) -> str:
        """Return the stage of the moment, and its rule."""
        sampler = self.samplers[self.stage]
        rule = "every image once"
        if sampler is not None:
            rule = f"{type(sampler).__name__}, {sampler.describe()}"
        return f"stage {self.stage!r}, {rule}"

    def notes(self) -> list[str]:
        """Return the warnings of the rule of the moment."""
        sampler = self.samplers[self.stage]
        return [] if sampler is None else sampler.notes()


def _checked(owner: str, stage: str, config: Any) -> dict[str, Any] | None:
    """Return the config of a sampler that depends on nothing but the data."""
    where = f"{owner}: `stages[{stage!r}]`"
    if config is None:
        return None
    if not isinstance(config, Mapping) or "type" not in config:
        raise TypeError(
            f"{where} must be None or the config of a sampler of the library, got "
            f"{config!r}"
        )
    if twice := [key for key in _COMMON if key in config]:
        raise ValueError(f"{where} has {twice}, which {owner} takes for all stages")
    kind = config["type"]
    found = DATA_SAMPLERS.get(kind) if isinstance(kind, str) else kind
    fits = isinstance(found, type) and issubclass(found, EpochSampler)
    if not fits or found.balances_by != "counts" or issubclass(found, StagedSampler):
        raise ValueError(
            f"{where} must be a sampler of the library that draws by counts, such as "
            f"`imb_det.ClassAwareSampler`, got {kind!r}"
        )
    return dict(config)
