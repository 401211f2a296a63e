"""Where components of this library may be in a runner."""

from __future__ import annotations

from typing import Any

from mmdet.models.dense_heads import RPNHead
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

__all__ = [
    "bare_model",
    "hooks_of",
    "models_of",
    "parts_of",
    "refresh_averages",
    "train_parts_of",
]


def bare_model(runner: Runner) -> nn.Module:
    """Return the model below its wrapper."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def models_of(runner: Runner) -> list[nn.Module]:
    """Return the model below its wrapper, and the moving averages that hooks keep."""
    return [bare_model(runner), *_averages(runner)]


def parts_of(runner: Runner) -> list[nn.Module]:
    """Return the modules of the model and of the moving averages that hooks keep.

    Without those of region proposal heads, which know no classes.
    """
    parts = []
    for model in models_of(runner):
        heads = [part for part in model.modules() if isinstance(part, RPNHead)]
        without = {id(part) for head in heads for part in head.modules()}
        parts += [part for part in model.modules() if id(part) not in without]
    return parts


def refresh_averages(runner: Runner) -> None:
    """Tell moving averages that buffers of their model have got another length.

    They keep a list of what they average since they were made.
    """
    for average in _averages(runner):
        if getattr(average, "update_buffers", False):
            average.avg_parameters = average.module.state_dict()


def train_parts_of(runner: Runner) -> list[Any]:
    """Return the samplers of the training and all hooks."""
    loader = runner.train_dataloader
    batch_sampler = getattr(loader, "batch_sampler", None)
    inner = getattr(batch_sampler, "sampler", None)
    return [loader.sampler, batch_sampler, inner, *hooks_of(runner)]


def _averages(runner: Runner) -> list[Any]:
    found = (getattr(hook, "ema_model", None) for hook in hooks_of(runner))
    return [average for average in found if isinstance(average, nn.Module)]


def hooks_of(runner: Runner) -> list[Any]:
    """Return all hooks, those that the config names and those of mmengine."""
    return list(getattr(runner, "hooks", ()))
