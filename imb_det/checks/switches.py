"""Hooks that change the pipeline in mid-training, and whether they ever do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmdet.engine.hooks import PipelineSwitchHook as PlainSwitchHook
from mmdet.registry import TRANSFORMS
from mmengine.runner import IterBasedTrainLoop

from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity, refusal
from imb_det.core.listener import ClassStatsListener, PartnerListener
from imb_det.transforms.switched_pipeline import nodes_to_switch

from .multi_image import configured_types

__all__ = ["check_switches"]

_OURS = (
    "Use `dict(type='imb_det.PipelineSwitchHook', switch_epoch=..., "
    "switch_pipeline=[...])`, with the steps of the outermost data set that has a "
    "pipeline"
)


def check_switches(context: CheckContext) -> Iterator[Finding]:
    """Find switches of pipelines that come never or at once, or do not get through.

    ``YOLOXModeSwitchHook`` and ``PipelineSwitchHook`` count epochs. The latter writes
    to the outermost data set alone, which need not look at it.

    Args:
        context: Of a training, with hooks.
    """
    dataset = context.datasets.get("train")
    for hook in context.hooks if dataset is not None else ():
        yield from _is_not_built(hook, context.class_stats)
        if isinstance(hook, PlainSwitchHook):
            yield from _does_not_get_through(hook, dataset)
        elif hasattr(hook, "switch_pipeline") and not nodes_to_switch(dataset):
            evidence = f"`train_dataloader.dataset` is {type(dataset).__name__}"
            yield _no_switch(hook, evidence, "Take the hook out")
        if context.train_loop is not None:
            yield from _when(hook, context.train_loop)


def _does_not_get_through(hook: Any, dataset: Any) -> Iterator[Finding]:
    """Yield what mmdet's hook would do to the outermost data set."""
    name = type(dataset).__name__
    if not hasattr(dataset, "pipeline"):
        evidence = f"`train_dataloader.dataset`, {name}, has no pipeline of its own"
        yield _no_switch(hook, evidence, _OURS)
    if not hasattr(dataset, "pipeline_types"):
        return
    kinds = list(configured_types(hook.switch_pipeline))
    number = len(dataset.pipeline_types)
    takers = [k for k in kinds if isinstance(k, type) and _takes_weights(k)]
    evidence = ""
    if len(kinds) > number:
        evidence = f"{name} would leave out all but the first {number} of {len(kinds)}"
    elif takers:
        evidence = f"{takers[0].__name__} would not know the weights of the sampler"
    elif getattr(dataset, "_skip_type_keys", None):
        evidence = f"{name} would skip steps by the types of the old ones"
    if evidence:
        yield _no_switch(hook, evidence, _OURS)


def _is_not_built(hook: Any, stats: Any) -> Iterator[Finding]:
    """Yield the steps that would fail on the day of the switch."""
    steps = getattr(hook, "switch_pipeline", None)
    for place, step in enumerate(steps if isinstance(steps, (list, tuple)) else ()):
        try:
            if isinstance(step, Mapping):
                built = TRANSFORMS.build(dict(step))
                if isinstance(built, ClassStatsListener) and stats is not None:
                    built.set_class_stats(stats)
        except Exception as error:  # of whatever kind, it would come much later
            what = "a step of a pipeline to come cannot be built"
            where = f"`switch_pipeline[{place}]` of {type(hook).__name__}"
            yield refusal("switch_step", what, error, where)


def _no_switch(hook: Any, evidence: str, remedy: str) -> Finding:
    return Finding(
        "no_switch",
        Severity.ERROR,
        "a hook is to switch the pipeline of a data set that would not follow",
        f"`{type(hook).__name__}`",
        evidence,
        remedy,
    )


def _takes_weights(kind: type) -> bool:
    return callable(getattr(kind, PartnerListener.set_partners.__name__, None))


def _when(hook: Any, loop: Any) -> Iterator[Finding]:
    """Yield that a switch comes never or at once, or when it does."""
    name = f"`{type(hook).__name__}`"
    end = getattr(loop, "max_epochs", None)
    if end is None:
        return
    if hasattr(hook, "switch_epoch") and hasattr(hook, "switch_pipeline"):
        option, first = "switch_epoch", hook.switch_epoch
        what = "the pipeline is another one"
    elif hasattr(hook, "num_last_epochs") and hasattr(hook, "skip_type_keys"):
        # As it counts, one epoch more than its name says.
        option, first = "num_last_epochs", end - hook.num_last_epochs - 1
        what = f"{', '.join(hook.skip_type_keys)} are off"
    else:
        return
    given = f"{option}={getattr(hook, option)}"
    if isinstance(loop, IterBasedTrainLoop):
        yield Finding(
            "switch_by_epoch",
            Severity.ERROR,
            "a hook waits for an epoch, in a training that counts iterations",
            name,
            f"{given}; such a training has one epoch, from beginning to end",
            "Set `train_cfg=dict(by_epoch=True, max_epochs=...)`, or take the hook out",
        )
    elif first >= end:
        is_ours = not isinstance(hook, PlainSwitchHook)
        yield Finding(
            "switches_never",
            Severity.ERROR if is_ours else Severity.WARNING,
            "a hook waits for an epoch that the training does not have",
            name,
            f"{given}, counted from 0, and the training has {end}",
            f"Set `{option}` below {end}, or take the hook out",
        )
    elif first <= 0:
        yield Finding(
            "switches_at_once",
            Severity.WARNING,
            "what a hook switches in mid-training is switched from the beginning",
            name,
            f"{given} of {end} epochs: {what} in all of them",
            f"Set `{option}` to what the end of the training should be",
        )
    else:
        yield Finding(
            "switches",
            Severity.INFO,
            "pipelines change in mid-training; a receipt of a sampler tells what "
            "transforms make of it before",
            name,
            f"{what} from epoch {first + 1} of {end} on",
        )
