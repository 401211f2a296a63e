"""What does not fit a training in which parts of the detector are frozen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from imb_det.core import Stage
from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity
from imb_det.core.schedule import Schedule
from imb_det.core.stage_lengths import StageLengths

from .shifted_norms import norms_to_count
from .stage_parts import StageParts

__all__ = ["of_ranks", "of_stages", "of_training"]


def of_training(
    owner: str, stages: Mapping[str, StageParts], context: CheckContext
) -> Iterator[Finding]:
    """Yield what does not fit the model or the training.

    Args:
        owner: Name of the hook, for messages.
        stages: What each stage trains, by name.
        context: Of the training.
    """
    if context.model is None or context.train_loop is None:
        return
    trainable = {n for n, p in context.model.named_parameters() if p.requires_grad}
    for name, parts in stages.items():
        yield from parts.findings(owner, name, context.model, trainable)
        if parts.recount_norms and not norms_to_count(context.model):
            yield Finding(
                "freeze_norms",
                Severity.ERROR,
                "there is no normalisation whose statistics could be counted",
                f"{owner}, stage {name!r}",
                "it has none, or freezes them (`norm_eval`, `frozen_stages`)",
                "Leave `recount_norms` out",
            )
    priors = [h for h in context.hooks if type(h).__name__ == "PriorInitHook"]
    if priors and any(parts.reinit for parts in stages.values()):
        yield Finding(
            "freeze_prior",
            Severity.ERROR,
            "a classifier that starts anew loses the bias that was counted for it",
            f"{owner} with PriorInitHook",
            remedy="Leave `reinit` or `PriorInitHook` out",
        )
    if any(parts.recount_norms for parts in stages.values()):
        yield from _within_epochs(owner, context)


def of_stages(
    owner: str, stages: Mapping[str, StageParts], stage: Stage | None
) -> Iterator[Finding]:
    """Yield stages that nothing announces.

    Args:
        owner: Name of the hook, for messages.
        stages: What each stage trains, by name.
        stage: That has been told; None for none.
    """
    told = () if stage is None else stage.names
    if never := [name for name in stages if name not in told]:
        names = ", ".join(f"dict(name={n!r}, epochs=...)" for n in never)
        yield Finding(
            "freeze_stage",
            Severity.ERROR,
            "stages never begin",
            owner,
            f"{never}; `StageHook` announces {list(told)}",
            f"Add `dict(type='imb_det.StageHook', stages=[{names}])` to "
            "`custom_hooks`, with the stages before",
        )


def of_ranks(stages: Mapping[str, StageParts], wrapper: Any) -> Iterator[Finding]:
    """Yield that gradients of what is frozen would be waited for.

    Args:
        stages: What each stage trains, by name.
        wrapper: Of the ranks around the model, or the model.
    """
    if all(parts.trains_all for parts in stages.values()):
        return
    if getattr(wrapper, "find_unused_parameters", True) and not getattr(
        wrapper, "static_graph", False
    ):
        return
    yield Finding(
        "freeze_ranks",
        Severity.ERROR,
        "ranks would wait for gradients of parameters that are frozen in a stage",
        type(wrapper).__name__,
        f"find_unused_parameters={wrapper.find_unused_parameters}, "
        f"static_graph={getattr(wrapper, 'static_graph', False)}",
        "Write `find_unused_parameters = True` into the config",
    )


def _within_epochs(owner: str, context: CheckContext) -> Iterator[Finding]:
    """Yield that a stage whose statistics are counted begins within an epoch."""
    schedule = Schedule.of(context.train_loop, context.param_schedulers)
    for hook in context.hooks:
        plan = getattr(hook, "stages", None)
        if not isinstance(plan, StageLengths) or any(plan.findings(schedule)):
            continue
        if not plan.plan(schedule).by_epoch and len(plan.names) > 1:
            yield Finding(
                "freeze_norms_epoch",
                Severity.ERROR,
                "`recount_norms` reads images, which it can at the begin of an epoch",
                owner,
                f"the stages are {plan}",
                "Count the stages in `epochs=`",
            )
