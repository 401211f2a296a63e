"""Components that wait for a hook that the config does not have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.hooks import Hook
from torch import nn

from imb_det.core.check_context import HookWaiter
from imb_det.core.finding import Finding, Severity
from imb_det.core.listener import ClassDifficultyListener, ClassStatsListener
from imb_det.doctor.context import DoctorContext
from imb_det.losses import ImbalanceLoss
from imb_det.losses.row_weights import costs_of_loss

from .counted_twice import sampler_of

__all__ = ["check_awaited_hooks"]

_COUNTS: Mapping[str, str] = {"ImbalanceHook": "the training set is counted"}
_DIFFICULTY: Mapping[str, str] = {
    "ClassDifficultyHook": "the difficulty of classes is measured"
}
#: What else than its type a hook must be given.
_ARGUMENTS = {
    "ClassDifficultyHook": ", source='score'",
    "CALSHook": ", held_out=dict(<a data loader of held-out images>)",
}


def check_awaited_hooks(context: DoctorContext) -> Iterator[Finding]:
    """Find parts of the model, and hooks, that a hook must serve and none does.

    A component says what it waits for (``awaited_hooks``, see
    :class:`~imb_det.core.check_context.HookWaiter`); modules and hooks that listen to
    the counts of the classes wait for what counts them, and what listens to their
    difficulty for what measures it. Stages and verified classes
    are looked at by the components themselves and by :mod:`imb_det.checks`.

    Args:
        context: With a model and hooks.
    """
    present = {kind.__name__ for hook in context.hooks for kind in type(hook).__mro__}
    told: dict[str, list[str]] = {}
    for path, kind, component in _components(context):
        for hook, reason in _awaited(component).items():
            places = told.setdefault(hook, [])
            # One finding for a loss and its parts.
            if hook in present or any(f"{path}.".startswith(p) for p in places):
                continue
            places.append(f"{path}.")
            line = f"dict(type='imb_det.{hook}'{_ARGUMENTS.get(hook, '')})"
            yield Finding(
                "absent_hook",
                Severity.ERROR,
                "a component waits for a hook that the config does not have",
                f"`{path}` ({kind})" if path != kind else kind,
                f"{reason} by {hook} alone",
                f"Write `{line}` into `custom_hooks`",
            )


def _components(context: DoctorContext) -> Iterator[tuple[str, str, Any]]:
    """Yield what may wait, with its place and its class, or that of the loss it is in.

    A module comes before its parts.
    """
    model = context.model
    for path, module in model.named_modules() if model is not None else ():
        yield path, getattr(module, "owner", None) or type(module).__name__, module
        for cost in costs_of_loss(module):
            yield f"{path}.assigner", type(cost).__name__, _Cost(cost)
    others = [*context.hooks, *context.components, sampler_of(context)]
    for other in {id(o): o for o in others if not isinstance(o, nn.Module)}.values():
        yield type(other).__name__, type(other).__name__, other


class _Cost:
    """A cost of matching that goes by the loss of its head."""

    def __init__(self, cost: Any) -> None:
        self.cost = cost

    @property
    def awaited_hooks(self) -> Mapping[str, str]:
        """What tells it the loss."""
        return {"ImbalanceHook": "the loss of the head is told"}


def _awaited(component: Any) -> Mapping[str, str]:
    """Return the hooks that a component waits for, each with what for."""
    if isinstance(component, HookWaiter):
        return component.awaited_hooks
    if isinstance(component, ClassDifficultyListener):
        return _DIFFICULTY
    # What a loss wants to know is in parts of it, which say so.
    listens = isinstance(component, ClassStatsListener)
    listens &= isinstance(component, (nn.Module, Hook))
    return _COUNTS if listens and not isinstance(component, ImbalanceLoss) else {}
