"""Rare classes that several parts of a config raise, each as if it were alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from imb_det.core.finding import Finding, Severity
from imb_det.doctor.context import DoctorContext
from imb_det.samplers import EpochSampler
from imb_det.samplers.epoch_length import repeats_twice
from imb_det.samplers.receipt_files import weighing_parts
from imb_det.statistics.dataset_access import dataset_nodes

from .heads import classifying_heads, rank_correlation, weights_of

__all__ = ["check_counted_twice", "sampler_of"]

#: Rank correlation with the counts below which a list of weights goes by them.
_FALLS = -0.7
#: Samplers of mmdet that draw by classes.
_BY_CLASS = ("ClassAwareSampler",)
_REMEDY = (
    "Keep one of them: write `sampler=dict(type='DefaultSampler', shuffle=True)` into "
    "`train_dataloader`, or take the weights out of the loss; or weaken both "
    "(`repeat_thr`, `power`, `class_weight='sqrt_inverse'`)"
)


def check_counted_twice(context: DoctorContext) -> Iterator[Finding]:
    """Find wrappers, samplers and weights that raise the same classes.

    Args:
        context: Of a training.
    """
    if "train" not in context.datasets:
        return
    dataset, sampler = context.datasets["train"], sampler_of(context)
    wrappers = [
        f"{type(node).__name__} (oversample_thr={node.oversample_thr})"
        for node in dataset_nodes(dataset)
        if hasattr(node, "repeat_indices")
    ]
    draws = list(wrappers)
    balances_by = "counts"
    if isinstance(sampler, EpochSampler):
        draws.append(type(sampler).__name__)
        balances_by = sampler.balances_by
    elif type(sampler).__name__ in _BY_CLASS:
        draws.append(type(sampler).__name__)
    if len(draws) > 1:
        told = repeats_twice(dataset)
        yield _finding(
            "repeated_twice",
            "images of rare classes are drawn more often by several parts at once",
            " and ".join(draws),
            told[0] if told and isinstance(sampler, EpochSampler) else "",
            "Give the sampler the data set without the wrapper, or write "
            "`sampler=dict(type='DefaultSampler', shuffle=True)`",
        )
    if not draws or context.model is None:
        return
    weighs = weighing_parts(context.model, balances_by)
    if balances_by == "counts":
        weighs |= set(_lists_by_counts(context))
    if weighs:
        yield _finding(
            "counts_twice",
            "rare classes are drawn more often, and weigh more in the loss as well",
            " and ".join([*draws, *sorted(weighs)]),
            f"both raise classes by their {balances_by}",
            _REMEDY,
        )


def sampler_of(context: DoctorContext) -> Any:
    """Return the sampler of the training, None where there is none.

    Args:
        context: Of a training.
    """
    loader = context.train_dataloader
    sampler = getattr(loader, "sampler", None)
    inner = getattr(getattr(loader, "batch_sampler", None), "sampler", None)
    return inner if inner is not None else sampler


def _lists_by_counts(context: DoctorContext) -> Iterator[str]:
    """Yield losses with a list of weights that falls with the counts of the classes."""
    stats = context.class_stats
    if stats is None:
        return
    counts = stats.instance_count.tolist()
    for found in classifying_heads(context.model):
        for owner, numbers in weights_of(found.loss):
            of_classes = numbers[: len(counts)]
            fits = found.num_classes == len(counts) == len(of_classes)
            if fits and rank_correlation(of_classes, counts) <= _FALLS:
                yield getattr(owner, "owner", type(owner).__name__)


def _finding(code: str, what: str, where: str, evidence: str, remedy: str) -> Finding:
    return Finding(code, Severity.WARNING, what, where, evidence, remedy)
