"""Trains parts of a detector while the others rest, stage by stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from mmengine.dist import broadcast
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from imb_det.core import Stage, and_more
from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, raise_findings
from imb_det.registry import HOOKS
from imb_det.runner_parts import bare_model, hooks_of, models_of

from .freeze_findings import of_ranks, of_stages, of_training
from .freezing import Division
from .reinitialise import reinitialise
from .shifted_norms import recount_for_stage
from .stage_parts import StageParts

__all__ = ["FreezeHook"]


@HOOKS.register_module()
class FreezeHook(Hook):
    """Train parts of a detector alone, in a stage of the training.

    Features are learnt best from images as they are, classifiers from balanced ones:
    in the second stage only the classifier is trained, often anew (cRT), or a few
    numbers of it. What is frozen has no gradient, is out of the reach of weight decay
    and momentum, and its layers stay in eval mode, normalisation and dropout with them;
    losses count on as ever, and heads give what these need. Names and numbers are
    logged when the stage begins. Bits of the frozen parameters, and of the statistics
    of frozen normalisation, are compared with those of the begin on resume, when the
    stage ends, and after every epoch of a training that counts in epochs.

    Moving averages of weights take over what is frozen and what is started anew, as it
    is when the stage begins: the classifier is averaged over the features that it is
    trained on. What the model freezes by itself (``frozen_stages``) stays frozen.

    All ranks go on with the statistics of the first one, which a checkpoint has.

    The hook follows ``StageHook``. Checkpoints carry which stages have begun, so that a
    training that resumes starts nothing anew for a second time.

    Args:
        stages: By name of a stage, None, which trains everything, as stages do that are
            not named; or a dict with paths of modules or parameters,
            ``train_only=[...]`` or ``freeze=[...]``; ``reinit=True`` starts what
            ``train_only`` names anew, ``reinit=[...]`` some modules; and
            ``recount_norms=200`` counts the statistics of normalisation again, over so
            many images of the stage's sampler, where the model does not freeze them.

    Raises:
        TypeError, ValueError: Stages that cannot be understood; when training starts,
            paths that are none of the model, a stage that trains nothing, no
            ``StageHook``, or ranks that would wait for gradients of what is frozen.
        RuntimeError: Something that is frozen has changed; names the first tensor.

    Example:
        >>> custom_hooks = [
        ...     dict(type="imb_det.ImbalanceHook"),
        ...     dict(
        ...         type="imb_det.StageHook",
        ...         stages=[dict(name="features", share=0.75), dict(name="classifier")],
        ...     ),
        ...     dict(
        ...         type="imb_det.FreezeHook",
        ...         stages=dict(
        ...             classifier=dict(
        ...                 train_only=["roi_head.bbox_head.fc_cls"], reinit=True
        ...             )
        ...         ),
        ...     ),
        ... ]

    Source: Kang et al., "Decoupling Representation and Classifier for Long-Tailed
    Recognition", ICLR 2020 (cRT, LWS); statistics of normalisation under the sampler of
    the second stage: Zhong et al., "Improving Calibration for Long-Tailed Recognition",
    CVPR 2021, who let them run on while the classifier is trained; here they are
    counted once, before it is, so that its features stay the same.
    """

    #: Stages that are not named train everything.
    other_stages_are_plain = True

    def __init__(self, stages: Mapping[str, Any]) -> None:
        self.stages = StageParts.from_config(type(self).__name__, stages)
        self.stage: Stage | None = None
        self._entered: Stage | None = None
        self._division: Division | None = None
        self._digests: dict[str, str] = {}
        self._begun: list[str] = []
        self._stored: dict[str, Any] | None = None  # of a checkpoint
        self._trainable: set[str] = set()

    @property
    def stage_names(self) -> tuple[str, ...]:
        """Stages that the config names."""
        return tuple(self.stages)

    def set_stage(self, stage: Stage) -> None:
        """Take the stage; it begins before the next iteration."""
        self.stage = stage

    def findings(self, context: CheckContext) -> Iterator[Finding]:
        """Yield what does not fit the model or the training."""
        yield from of_training(type(self).__name__, self.stages, context)

    def before_train(self, runner: Runner) -> None:
        """Check the paths, and begin the stage in which the training is."""
        context = CheckContext(
            model=bare_model(runner),
            hooks=hooks_of(runner),
            train_loop=runner.train_loop,
            param_schedulers=runner.param_schedulers,
        )
        name = type(self).__name__
        found = [*self.findings(context), *of_stages(name, self.stages, self.stage)]
        raise_findings([*found, *of_ranks(self.stages, runner.model)], name)
        named = bare_model(runner).named_parameters()
        self._trainable = {n for n, p in named if p.requires_grad}
        self._entered, self._division, self._begun = None, None, []
        if runner.iter > 0 and self._stored is not None:
            self._begun = list(self._stored["begun"])
        else:
            self._stored = None
        self._enter(runner)

    def before_train_epoch(self, runner: Runner) -> None:
        """Begin the next stage, if it is time."""
        self._enter(runner)

    def before_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        """Begin the next stage, if it is time; let what is frozen rest."""
        self._enter(runner)
        if self._division is not None:
            self._division.rest()

    def after_train_epoch(self, runner: Runner) -> None:
        """Compare what is frozen with what it was."""
        self._compare(f"epoch {runner.epoch + 1}")

    def after_train(self, runner: Runner) -> None:
        """Compare what is frozen with what it was, and set it free."""
        self._leave()
        self._entered, self._stored = None, None

    def before_save_checkpoint(
        self, runner: Runner, checkpoint: dict[str, Any]
    ) -> None:
        """Put what has begun, and the digests, into the checkpoint."""
        if self._entered is not None:
            checkpoint.setdefault("imb_det", {})["freeze"] = {
                "stage": self._entered.name,
                "begun": list(self._begun),
                "digests": dict(self._digests),
            }

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Take them from the checkpoint."""
        self._stored = checkpoint.get("imb_det", {}).get("freeze")

    def in_effect(self) -> tuple[str, str]:
        """Return the present stage, and how much is frozen in it."""
        if self._division is None or self._entered is None:
            return "", ""
        frozen = sum(value.numel() for value in self._division.frozen.values())
        return f"stage {self._entered.name!r}", f"{frozen:,} numbers are frozen"

    def _enter(self, runner: Runner) -> None:
        """Begin the stage that has been told, if it is another one."""
        if self.stage is None or self.stage == self._entered:
            return
        self._leave()
        stage, model = self.stage, bare_model(runner)
        parts = self.stages.get(stage.name, StageParts())
        division = Division(model, parts, self._trainable)
        again: list[str] = []
        counted = 0
        is_new = stage.name not in self._begun
        if is_new:
            seed = _seed_of(runner.seed, stage)
            if parts.reinit:
                again = reinitialise(model, parts.reinit, seed)
            if parts.recount_norms:
                counted = recount_for_stage(runner, model, parts.recount_norms, seed)
            self._begun.append(stage.name)
        division.begin()
        for value in division.resting().values():
            broadcast(value)  # statistics of normalisation differ between ranks
        if is_new:
            self._average_anew(runner, division, again)
        for optimizer in _optimizers(runner.optim_wrapper):
            division.drop_state(optimizer, [*division.frozen, *again])
        self._entered, self._division = stage, division
        self._digests = {} if parts.trains_all else division.digests()
        stored = self._stored or {}
        if stored.get("stage") == stage.name:
            self._compare("the resume", stored["digests"])
        self._stored = None
        self._tell(stage, parts, division, again, counted)

    def _leave(self) -> None:
        if self._division is not None and self._entered is not None:
            self._compare(f"stage {self._entered.name!r}")
            self._division.end()
        self._division = None

    def _compare(self, when: str, begin: Mapping[str, str] | None = None) -> None:
        """Stop where something that is frozen is not what it was."""
        if self._division is None or not self._digests:
            return
        begin = self._digests if begin is None else begin
        now = self._division.digests()
        changed = [name for name, bits in begin.items() if now.get(name, bits) != bits]
        if changed and self._entered is not None:
            raise RuntimeError(
                f"FreezeHook: `{changed[0]}` is frozen in stage {self._entered.name!r} "
                f"and has changed until {when}; {len(changed)} of {len(begin)} tensors "
                "have. Look for a hook, or a layer, that writes to it in place"
            )

    def _average_anew(
        self, runner: Runner, division: Division, again: list[str]
    ) -> None:
        """Bring what is frozen or new into moving averages, when a stage begins."""
        named = dict(division.model.named_parameters())
        wanted = division.resting() | {name: named[name].data for name in again}
        for average in models_of(runner)[1:]:
            own = dict(average.module.named_parameters())  # type: ignore[union-attr]
            own |= dict(average.module.named_buffers())  # type: ignore[union-attr]
            for name, value in wanted.items():
                own[name].data.copy_(value)

    def _tell(
        self,
        stage: Stage,
        parts: StageParts,
        division: Division,
        again: list[str],
        counted: int,
    ) -> None:
        """Log what the stage trains, and what not."""
        named = dict(division.model.named_parameters())
        trained = sum(named[name].numel() for name in division.trained)
        line = f"FreezeHook: stage {stage.name!r} trains "
        if parts.trains_all:
            line += f"all {len(division.trained)} tensors, {trained:,} numbers"
        else:
            frozen = sum(value.numel() for value in division.frozen.values())
            line += (
                f"{and_more(division.trained, quoted=False)}, {trained:,} numbers; "
                f"frozen are {len(division.frozen)} tensors, {frozen:,} numbers; in "
                f"eval mode {and_more(division.tops, 8, quoted=False) or 'no module'}"
            )
        if again:
            line += f"; started anew {and_more(again, quoted=False)}"
        if counted:
            line += f"; statistics of {counted} normalisation layers counted again"
        print_log(line, logger="current")


def _seed_of(seed: int | None, stage: Stage) -> int:
    """Return a seed for what a stage draws when it begins."""
    key = (seed or 0, stage.index, len(stage.names))
    return int(np.random.SeedSequence(key).generate_state(1)[0])


def _optimizers(wrapper: Any) -> Iterator[torch.optim.Optimizer]:
    """Yield the optimizers of a wrapper, or of a dict of wrappers."""
    parts = getattr(wrapper, "optim_wrappers", None)
    for part in parts.values() if parts else [wrapper]:
        yield part.optimizer
