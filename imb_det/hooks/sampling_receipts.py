"""Writes what the sampler of a training does to its classes."""

from __future__ import annotations

import logging
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.runner import Runner

from imb_det.samplers import EpochSampler
from imb_det.samplers.receipt_plot import plot_receipt

from .runner_parts import bare_model, train_parts_of

__all__ = ["write_receipts"]


def write_receipts(runner: Runner) -> None:
    """Write ``sampling.json`` and ``sampling.png`` to the work folder, on rank 0.

    Warns of losses that weigh the classes by what the sampler draws them by already.

    Args:
        runner: With a training loop; other samplers than this library's are passed.
    """
    if not is_main_process():
        return
    for sampler in train_parts_of(runner):
        if not isinstance(sampler, EpochSampler):
            continue
        receipt = sampler.receipt()
        path = Path(runner.work_dir, "sampling.json")
        receipt.to_json(path)
        plot_receipt(path.with_suffix(".png"), receipt)
        print_log(f"{type(sampler).__name__}: receipt in {path} and .png", "current")
        twice = {
            type(part).__name__
            for part in bare_model(runner).modules()
            if getattr(part, "balances_by", None) == sampler.balances_by
        }
        if twice:
            print_log(
                f"{type(sampler).__name__} and {', '.join(sorted(twice))} both raise "
                f"classes by their {sampler.balances_by}: such classes count twice. "
                "Use one of them, or weaken both (`power`, `repeat_thr`; a weaker rule "
                "of weights)",
                logger="current",
                level=logging.WARNING,
            )
