"""Statistics of normalisation, counted again for the sampler of a stage."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_reduce, get_rank
from mmengine.runner import Runner
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from imb_det.merging.recalibration import recount_norms
from imb_det.runner_parts import samplers_of

__all__ = ["norms_to_count", "recount_for_stage"]


def norms_to_count(model: nn.Module) -> list[str]:
    """Return the normalisation layers whose statistics a training moves, by path."""
    modes = {module: module.training for module in model.modules()}
    model.train()
    found = [
        path
        for path, layer in model.named_modules()
        if isinstance(layer, _BatchNorm)
        and layer.training
        and layer.running_mean is not None
    ]
    for module, mode in modes.items():
        module.training = mode
    return found


@torch.no_grad()
def recount_for_stage(runner: Runner, model: nn.Module, most: int, seed: int) -> int:
    """Count statistics again, over images as the stage that begins draws them.

    The random numbers of the training stay. Ranks take the mean of what they count.

    Args:
        runner: Of the training.
        model: Its detector.
        most: Images that suffice, of each rank.
        seed: Of augmentations.

    Returns:
        Number of layers that were counted.
    """
    counted = set(norms_to_count(model))
    others = [
        path
        for path, layer in model.named_modules()
        if isinstance(layer, _BatchNorm) and path not in counted
    ]
    loader = runner.train_dataloader
    for sampler in samplers_of(loader):
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(runner.epoch)
    batches = DataLoader(
        loader.dataset,
        batch_sampler=loader.batch_sampler,
        collate_fn=loader.collate_fn,
    )
    modes = {module: module.training for module in model.modules()}
    with _own_draws(seed + get_rank()):
        number = recount_norms(model, batches, most, others)
    for module, mode in modes.items():
        module.training = mode
    for path, layer in model.named_modules():
        if path in counted:
            for name in ("running_mean", "running_var"):
                all_reduce(getattr(layer, name), "mean")
    return number


@contextmanager
def _own_draws(seed: int) -> Iterator[None]:
    """Draw from other random numbers, for a while."""
    kept: Any = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng():
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(kept[0])
            np.random.set_state(kept[1])  # noqa: NPY002
