"""Components that are configured by stages."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity
from imb_det.core.listener import (
    NamedStageListener,
    StageListener,
    StageProgressListener,
)
from imb_det.core.schedule import Schedule
from imb_det.core.stage_lengths import StageLengths
from imb_det.runner_parts import transforms_of

__all__ = ["check_stages"]

_LISTENERS = (StageListener, StageProgressListener)
_LINE = "dict(type='imb_det.StageHook', stages=[{}])"


def check_stages(context: CheckContext) -> Iterator[Finding]:
    """Find stages that nobody announces, or that do not reach who listens to them.

    A component that is configured by stages
    (:class:`~imb_det.core.listener.NamedStageListener`) must know all stages, and no
    other; with an attribute ``other_stages_are_plain`` it may leave some out.

    Args:
        context: Of a training, with components and hooks.
    """
    if "train" not in context.datasets:
        return
    plans = [
        hook.stages
        for hook in context.hooks
        if isinstance(getattr(hook, "stages", None), StageLengths)
    ]
    if len(plans) > 1:
        yield Finding(
            "stage_hooks",
            Severity.ERROR,
            "two hooks announce stages",
            "; ".join(map(str, plans)),
            remedy="Keep one `StageHook` in `custom_hooks`",
        )
    yield from _misnamed(context, plans)
    yield from _out_of_reach(context, plans)


def _misnamed(context: CheckContext, plans: list[StageLengths]) -> Iterator[Finding]:
    """Find components and plans that know different stages."""
    begin = [name for plan in plans for name in plan.names]
    paths = dict(context.model.named_modules()) if context.model is not None else {}
    places = {id(module): f"`{path}` " for path, module in paths.items()}
    for component in context.components:
        if not isinstance(component, NamedStageListener):
            continue
        known = list(component.stage_names)
        if not known:
            continue
        if isinstance(component, nn.Module) and id(component) not in places:
            continue  # in a moving average: a copy of one that is looked at
        never = [name for name in known if name not in begin]
        unknown = [name for name in begin if name not in known]
        if getattr(component, "other_stages_are_plain", False):
            unknown = []
        kind = type(component).__name__
        where = f"{places[id(component)]}({kind})" if id(component) in places else kind
        stages = f"it names the stages {known}, but "
        if not plans:
            example = ", ".join(f"dict(name={name!r}, epochs=...)" for name in known)
            evidence = f"{stages}there is no `StageHook`"
            remedy = f"Add `{_LINE.format(example)}` to `custom_hooks`"
        elif never or unknown:
            evidence = f"{stages}the training has {begin}"
            remedy = "Use the same names in the component and in `StageHook`"
        else:
            continue
        yield Finding(
            "stage_names",
            Severity.ERROR,
            "a component is configured for other stages than those that begin",
            where,
            evidence,
            remedy,
        )


def _out_of_reach(
    context: CheckContext, plans: list[StageLengths]
) -> Iterator[Finding]:
    """Find transforms whose copies in workers outlive a stage."""
    loader = context.train_dataloader
    changes = any(len(plan.names) > 1 for plan in plans)
    if not changes or not getattr(loader, "num_workers", 0):
        return
    steps = transforms_of(context.datasets["train"])
    listeners = {type(step).__name__ for step in steps if isinstance(step, _LISTENERS)}
    within = any(isinstance(step, StageProgressListener) for step in steps)
    stays = getattr(loader, "persistent_workers", False)
    if not listeners or not (stays or within or _within_epochs(context, plans)):
        return
    remedy = "Set `num_workers=0` in `train_dataloader`"
    if not within:
        first = "set `persistent_workers=False`" if stays else "count by `epochs=`"
        remedy += f", or {first}"
    yield Finding(
        "stage_in_workers",
        Severity.ERROR,
        "a new stage does not reach transforms, which workers of the data loader copy",
        ", ".join(sorted(listeners)),
        remedy=remedy,
    )


def _within_epochs(context: CheckContext, plans: list[StageLengths]) -> bool:
    """Tell whether stages may begin within an epoch."""
    if context.train_loop is None:
        return any(plan.unit not in (None, "epochs") for plan in plans)
    schedule = Schedule.of(context.train_loop, context.param_schedulers)
    # What does not fit the training is told elsewhere.
    fitting = [plan for plan in plans if not any(plan.findings(schedule))]
    return not all(plan.plan(schedule).by_epoch for plan in fitting)
