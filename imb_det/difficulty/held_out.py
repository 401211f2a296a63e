"""A pass over held-out training images that leaves the training as it was."""

from __future__ import annotations

import inspect
import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.dataset import DefaultSampler
from mmengine.dist import get_rank, get_world_size, is_main_process
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch.utils.data import DataLoader
from tqdm import tqdm

from imb_det.statistics import ClassStats
from imb_det.statistics.dataset_access import class_names, iter_data_infos

from .loss_meter import LossMeter

__all__ = ["build_held_out", "check_held_out", "run_held_out"]

_HOW_TO_HOLD_OUT = (
    "Hold images out of the training set: of 1500, give the data set of "
    "`train_dataloader` `indices=list(range(0, 1350))`, and this hook "
    "`held_out=dict(batch_size=2, num_workers=2, dataset=dict(<the same data set>, "
    "indices=list(range(1350, 1500))))`"
)


def check_held_out(owner: str, held_out: Any, need: str) -> None:
    """Check what a config gives for held-out images.

    Args:
        owner: Name of the hook.
        held_out: Config of a data loader, or one.
        need: What wants them, for the message where there is none.

    Raises:
        ValueError, TypeError: It is none; says how to hold images out.
    """
    if held_out is None:
        raise ValueError(
            f"{owner}: {need} needs `held_out`, the data loader of images that are not "
            f"trained on. {_HOW_TO_HOLD_OUT}"
        )
    if not isinstance(held_out, (dict, DataLoader)):
        raise TypeError(
            f"{owner}: `held_out` must be the config of a data loader, got "
            f"{type(held_out).__name__}"
        )
    if isinstance(held_out, dict) and "dataset" not in held_out:
        raise ValueError(
            f"{owner}: `held_out` has no `dataset`, only {list(held_out)}. "
            f"{_HOW_TO_HOLD_OUT}"
        )


def build_held_out(
    config: dict[str, Any] | DataLoader,
    stats: ClassStats,
    runner: Runner,
    owner: str = "ClassDifficultyHook",
    consequence: str = "classes will look easier than they are",
) -> DataLoader:
    """Build the data loader of the held-out images, and check them.

    Args:
        config: As a ``train_dataloader``; ``batch_size`` 1, ``num_workers`` 0 and
            a ``DefaultSampler`` without shuffling unless it says otherwise.
        stats: Counts of the training set.
        runner: For the training set and the seed.
        owner: Name of the hook, for the log. Default ``'ClassDifficultyHook'``.
        consequence: What happens where held-out images are trained on, for the log.

    Raises:
        ValueError: Other classes than the training set's, or no image at all.
    """
    if isinstance(config, dict):
        config = {"batch_size": 1, "num_workers": 0, **config}
        config.setdefault("sampler", dict(type="DefaultSampler", shuffle=False))
    loader = Runner.build_dataloader(config, seed=runner.seed)
    dataset: Any = loader.dataset
    classes = class_names(dataset)
    if classes != stats.classes:
        raise ValueError(
            f"`held_out` has {len(classes)} classes {classes}, but the training set "
            f"has {stats.num_classes} classes {stats.classes}"
        )
    if not len(dataset):
        raise ValueError("`held_out` has no image")
    if is_main_process():
        training = runner.train_dataloader.dataset
        _warn_of_overlap(dataset, training, owner, consequence)
    return loader


def _warn_of_overlap(
    held_out: Any, training: Any, owner: str, consequence: str
) -> None:
    paths = [
        {info["img_path"] for info in iter_data_infos(dataset) if "img_path" in info}
        for dataset in (held_out, training)
    ]
    if shared := paths[0] & paths[1]:
        print_log(
            f"{owner}: {len(shared)} of the {len(paths[0])} held-out images are "
            f"trained on, such as {min(shared)}: {consequence}",
            logger="current",
            level=logging.WARNING,
        )


def run_held_out(
    runner: Runner, model: Any, loader: DataLoader, meter: LossMeter
) -> None:
    """Compute the losses of all held-out images while the meter listens.

    Every rank must call this: each takes its share of the images. An image that the
    sampler repeats, so that all ranks have as many, does not count again. Afterwards
    weights, buffers, modes and random numbers are what they were before.

    Args:
        runner: For the precision of the training, its seed and its progress.
        model: Detector, without its wrapper.
        loader: Of :func:`build_held_out`.
        meter: Counts the rows.
    """
    dataset: Any = loader.dataset
    left = len(dataset)
    if isinstance(loader.sampler, DefaultSampler):
        left = len(range(get_rank(), left, get_world_size()))
    with (
        torch.no_grad(),
        _random_numbers_of_their_own(runner.seed + runner.iter),
        _as_in_a_test(model),
        meter.listening(),
        tqdm(
            total=len(dataset),
            desc="held-out images",
            unit="img",
            leave=False,
            disable=not is_main_process(),
        ) as bar,
    ):
        for batch in loader:
            size = len(batch["data_samples"])
            if 0 < left < size:
                batch = {key: value[:left] for key, value in batch.items()}
            # Heads may wait for the other ranks, so that all run as many batches.
            meter.is_paused = left <= 0
            left -= size
            with runner.optim_wrapper.optim_context(model):
                # Pads masks as in training; what is random is switched off.
                model(**model.data_preprocessor(batch, training=True), mode="loss")
            bar.update(min(size * get_world_size(), bar.total - bar.n))
    meter.is_paused = False


@contextmanager
def _random_numbers_of_their_own(seed: int) -> Iterator[None]:
    """Seed all generators of this process, and restore them at the end."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    has_cuda = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    devices = [torch.cuda.current_device()] if has_cuda else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        random.seed(seed)
        # mmdet's transforms draw from NumPy's global generator.
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002


@contextmanager
def _as_in_a_test(model: Any) -> Iterator[None]:
    """Switch layers to evaluation, and restore modes and buffers at the end.

    Detectors and heads, which are what has a method ``loss``, take their path of
    training: some compute no loss on the other one. Losses and guided scaling keep
    running statistics in buffers, whatever the mode.
    """
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    places = [
        (module, name, buffer)
        for module in model.modules()
        for name, buffer in module._buffers.items()
    ]
    preprocessor = model.data_preprocessor
    augments = getattr(preprocessor, "batch_augments", None)
    model.eval()
    for module, _ in modes:
        if inspect.ismethod(getattr(module, "loss", None)):
            module.training = True
    if augments is not None:
        preprocessor.batch_augments = None
    try:
        yield
    finally:
        if augments is not None:
            preprocessor.batch_augments = augments
        for module, mode in modes:
            module.training = mode
        for module, name, buffer in places:
            module._buffers[name] = buffer
        for buffer, content in buffers:
            buffer.copy_(content)
