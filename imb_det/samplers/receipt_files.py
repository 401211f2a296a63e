"""Writes what the sampler of a training does to its classes."""

from __future__ import annotations

import logging
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.logging import print_log
from torch import nn

from .base import EpochSampler
from .receipt import SamplingReceipt
from .receipt_plot import plot_receipt

__all__ = ["weighing_parts", "write_receipt"]


def write_receipt(
    sampler: EpochSampler, model: nn.Module, work_dir: str | Path
) -> SamplingReceipt | None:
    """Write ``sampling.json`` and ``sampling.png`` to the work folder, on rank 0.

    Warns of losses that weigh the classes by what the sampler draws them by already.

    Args:
        sampler: Of the training.
        model: That is trained.
        work_dir: Where to write.

    Returns:
        The receipt; None on other ranks.
    """
    if not is_main_process():
        return None
    receipt = sampler.receipt()
    path = Path(work_dir, "sampling.json")
    receipt.to_json(path)
    plot_receipt(path.with_suffix(".png"), receipt)
    print_log(f"{type(sampler).__name__}: receipt in {path} and .png", "current")
    twice = weighing_parts(model, sampler.balances_by)
    if twice:
        print_log(
            f"{type(sampler).__name__} and {', '.join(sorted(twice))} both raise "
            f"classes by their {sampler.balances_by}: such classes count twice. "
            "Use one of them, or weaken both (`power`, `repeat_thr`; a weaker rule "
            "of weights)",
            logger="current",
            level=logging.WARNING,
        )
    return receipt


def weighing_parts(model: nn.Module, balances_by: str) -> set[str]:
    """Return the names of losses that weigh classes by the same as a sampler does.

    Args:
        model: That is trained.
        balances_by: What the sampler raises classes by, as ``'counts'``.
    """
    return {
        getattr(part, "owner", type(part).__name__)  # of numbers of the classes
        for part in model.modules()
        if getattr(part, "balances_by", None) == balances_by
    }
