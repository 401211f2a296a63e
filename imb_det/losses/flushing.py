"""The one collective of running statistics."""

from __future__ import annotations

import torch
from mmengine.dist import all_gather_object, all_reduce, get_world_size
from torch import nn

from imb_det.statistics.running_stats import RunningStats

from .layer_calls import watch_layers

__all__ = ["check_alike", "flush", "flush_statistics", "manage_statistics"]


def manage_statistics(model: nn.Module) -> list[RunningStats]:
    """Promise to flush a model's running statistics after every training step.

    Heads of queries tell their losses from then on which call is of the last layer.

    Args:
        model: The model; its wrapper does no harm.

    Returns:
        The statistics that it has.
    """
    watch_layers(model)
    found = [part for part in model.modules() if isinstance(part, RunningStats)]
    for stats in found:
        stats.managed = True
    return found


def check_alike(found: list[RunningStats]) -> None:
    """Refuse statistics that differ in length between ranks: their sum would hang.

    Every rank must call this, before the first step.

    Raises:
        RuntimeError: On all ranks, with the lengths of each.
    """
    lengths = [len(stats.pending) for stats in found]
    everyone = all_gather_object(lengths)
    if any(other != lengths for other in everyone):
        raise RuntimeError(
            f"running statistics have other lengths on other ranks: {everyone}; the "
            "ranks train different models, or with different classes"
        )


def flush_statistics(model: nn.Module) -> None:
    """Bring what all ranks counted in this step into the running statistics.

    One sum over ranks, whatever the number of losses. Every rank must call it once a
    step; ``imb_det.ImbalanceHook`` does.

    Args:
        model: The model; its wrapper does no harm.
    """
    flush(manage_statistics(model))


@torch.no_grad()
def flush(found: list[RunningStats]) -> None:
    """Bring pending numbers of all ranks into the given statistics."""
    if not found:
        return
    pending = torch.cat([stats.pending for stats in found])
    all_reduce(pending, op="sum")
    totals = torch.split(pending, [len(stats.pending) for stats in found])
    for stats, total in zip(found, totals, strict=True):
        stats.commit(total, get_world_size())
