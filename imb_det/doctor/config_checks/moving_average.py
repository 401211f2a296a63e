"""Moving averages of a model, and what they do not average."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.hooks import EMAHook
from mmengine.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from imb_det.core.finding import Finding, Severity
from imb_det.core.text import and_more
from imb_det.doctor.context import DoctorContext

__all__ = ["check_moving_average"]

_NAMED = 3


def check_moving_average(context: DoctorContext) -> Iterator[Finding]:
    """Find averages of weights that have the normalisation of other weights.

    With ``update_buffers=False``, the default, buffers are those of the last iteration,
    so that layers normalise averaged weights by means and variances of weights that
    are not averaged.

    Args:
        context: With a model and hooks.
    """
    if context.model is None:
        return
    for hook in context.hooks:
        if not isinstance(hook, EMAHook):
            continue
        options = getattr(hook, "ema_cfg", None)
        if not isinstance(options, Mapping) or options.get("update_buffers", False):
            continue
        if not _has_option(options.get("type")):
            continue
        layers = _moving(context.model)
        if layers:
            yield Finding(
                "average_without_buffers",
                Severity.WARNING,
                "a moving average has averaged weights, and the batch statistics of "
                "weights that are not averaged",
                type(hook).__name__,
                f"update_buffers=False, and {len(layers)} layers keep statistics: "
                f"{and_more(layers, _NAMED)}",
                "Write `dict(type='EMAHook', ..., update_buffers=True)` into "
                "`custom_hooks`",
            )


def _has_option(kind: Any) -> bool:
    found = MODELS.get(kind) if isinstance(kind, str) else kind
    return isinstance(found, type)


def _moving(model: nn.Module) -> list[str]:
    """Return the layers whose statistics move in a training; the model stays as is."""
    modes = {module: module.training for module in model.modules()}
    try:
        model.train()  # heads and backbones keep some layers in another mode
        return [
            name
            for name, module in model.named_modules()
            if isinstance(module, _NormBase)
            and module.training
            and module.track_running_stats
        ]
    finally:
        for module, mode in modes.items():
            module.training = mode
