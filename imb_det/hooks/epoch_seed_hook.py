"""Random numbers that depend on the epoch, not on what ran before it."""

from __future__ import annotations

import random
from functools import partial

import numpy as np
import torch
from mmdet.datasets.transforms import CachedMixUp, CachedMosaic
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import IterBasedTrainLoop, Runner

from imb_det.registry import HOOKS
from imb_det.runner_parts import transforms_of

__all__ = ["EpochSeedHook"]


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed Python, NumPy and torch anew at the start of each training epoch.

    mmengine seeds once, when the runner is built. A run that resumes starts again
    from that seed, while the unbroken run is far along its random numbers: flips,
    crops and sampled boxes differ, and so do the weights. With this hook they are the
    same, if the training resumes from the end of an epoch, ``randomness`` in the
    config fixes the seed, and the data loader has no worker processes or starts them
    anew each epoch (``persistent_workers=False``). mmdet's ``CachedMosaic`` and
    ``CachedMixUp``, which keep images, want workers that start anew. Where that is not
    so, a line in the log says it.

    Workers that start anew each epoch get a new seed each epoch as well: mmengine
    gives them the same one every time, so that their random numbers repeat.

    The seeds follow from the seed of the run, the epoch, the iteration and the rank.
    The hook runs after all others, so that their draws do not matter.
    """

    priority = "LOWEST"

    def before_train(self, runner: Runner) -> None:
        """Say what stands in the way of an exact resume."""
        loader = runner.train_dataloader
        obstacles = []
        if loader.num_workers > 0 and loader.persistent_workers:
            obstacles.append(
                "`persistent_workers=True`: data workers keep their random state from "
                "epoch to epoch"
            )
        if loader.num_workers == 0:
            steps = transforms_of(loader.dataset)
            obstacles += [
                f"{type(step).__name__} without workers: it keeps images from epoch to "
                "epoch"
                for step in steps
                if isinstance(step, (CachedMosaic, CachedMixUp))
            ]
        if isinstance(runner.train_loop, IterBasedTrainLoop):
            obstacles.append("the loop counts iterations, not epochs")
        if obstacles:
            print_log(
                "EpochSeedHook: a resumed training will not repeat the unbroken one "
                f"exactly ({'; '.join(obstacles)})",
                logger="current",
            )

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed all generators of this process."""
        key = (runner.seed, runner.epoch, runner.iter, get_rank())
        seeds = np.random.SeedSequence(key).generate_state(4)
        for_python, for_numpy, for_torch, for_workers = seeds
        random.seed(int(for_python))
        # mmdet's transforms draw from NumPy's global generator.
        np.random.seed(int(for_numpy))  # noqa: NPY002
        torch.manual_seed(int(for_torch))
        start_worker = getattr(runner.train_dataloader, "worker_init_fn", None)
        if isinstance(start_worker, partial) and "seed" in start_worker.keywords:
            # NumPy takes 32 bits, and each worker adds its number.
            runner.train_dataloader.worker_init_fn = partial(
                start_worker, seed=int(for_workers >> 1)
            )
