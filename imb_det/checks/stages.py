"""Components that are configured by stages."""

from __future__ import annotations

from collections.abc import Iterator

from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity
from imb_det.core.listener import StageListener
from imb_det.core.stage_plan import StagePlan
from imb_det.core.text import and_more
from imb_det.runner_parts import transforms_of

__all__ = ["check_stages"]

_LINE = "dict(type='imb_det.StageHook', stages=[{}])"


def check_stages(context: CheckContext) -> Iterator[Finding]:
    """Find stages that nobody announces, or that do not reach who listens to them.

    A component tells by an attribute ``stage_names`` which stages it is configured for.

    Args:
        context: Of a training, with components and hooks.
    """
    if "train" not in context.datasets:
        return
    plans = [
        hook.plan
        for hook in context.hooks
        if isinstance(getattr(hook, "plan", None), StagePlan)
    ]
    if len(plans) > 1:
        yield Finding(
            "stage_hooks",
            Severity.ERROR,
            "two hooks announce stages",
            "; ".join(map(str, plans)),
            remedy="Keep one `StageHook` in `custom_hooks`",
        )
    names = [name for plan in plans for name in plan.names]
    for component in context.components:
        wanted = getattr(component, "stage_names", None)
        if not wanted or not isinstance(component, StageListener):
            continue
        unknown = [name for name in wanted if name not in names]
        if not unknown:
            continue
        example = ", ".join(f"dict(name={name!r}, epochs=...)" for name in wanted)
        there = f"the stages are {names}" if plans else "there is no `StageHook`"
        yield Finding(
            "unknown_stage",
            Severity.ERROR,
            "a component is configured for a stage that never begins",
            type(component).__name__,
            f"knows the stage{'s' * (len(unknown) > 1)} {and_more(unknown)}, but "
            f"{there}",
            f"Add `{_LINE.format(example)}` to `custom_hooks`"
            if not plans
            else "Use these names in the component, or the component's in `StageHook`",
        )
    yield from _out_of_reach(context, plans)


def _out_of_reach(context: CheckContext, plans: list[StagePlan]) -> Iterator[Finding]:
    """Find transforms whose copies in workers outlive a stage."""
    loader = context.train_dataloader
    changes = any(len(plan.names) > 1 for plan in plans)
    if not changes or not getattr(loader, "num_workers", 0):
        return
    listeners = {
        type(step).__name__
        for step in transforms_of(context.datasets["train"])
        if isinstance(step, StageListener)
    }
    stays = getattr(loader, "persistent_workers", False)
    by_iteration = not all(plan.by_epoch for plan in plans)
    if not listeners or not (stays or by_iteration):
        return
    remedy = "Set `persistent_workers=False`" if stays else "Count stages by `epochs=`"
    yield Finding(
        "stage_in_workers",
        Severity.ERROR,
        "a new stage does not reach transforms, which workers of the data loader copy",
        ", ".join(sorted(listeners)),
        remedy=f"{remedy}, or set `num_workers=0` in `train_dataloader`",
    )
