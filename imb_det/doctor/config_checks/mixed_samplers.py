"""Samplers beside transforms that mix several images into one."""

from __future__ import annotations

from collections.abc import Iterator

from imb_det.core.finding import Finding, Severity
from imb_det.core.listener import PartnerListener
from imb_det.doctor.context import DoctorContext
from imb_det.runner_parts import transforms_of
from imb_det.samplers import EpochSampler
from imb_det.samplers.epoch_length import long_epoch, repeats_twice
from imb_det.statistics.dataset_access import dataset_nodes
from imb_det.transforms.weighted_partners import WeightedPartners

from .counted_twice import sampler_of

__all__ = ["check_mixed_samplers"]


def check_mixed_samplers(context: DoctorContext) -> Iterator[Finding]:
    """Find what the receipt of a sampler warns of: what mixes past it, and idle rules.

    Args:
        context: Of a training.
    """
    if "train" not in context.datasets:
        return
    dataset, sampler = context.datasets["train"], sampler_of(context)
    yield from _repeats_outside(dataset)
    if not isinstance(sampler, EpochSampler):
        for step in transforms_of(dataset):
            if isinstance(step, PartnerListener) and isinstance(step, WeightedPartners):
                yield Finding(
                    "even_partners",
                    Severity.INFO,
                    "a transform draws the other images of a picture by the weights of "
                    "a sampler, and there is none: it draws them evenly",
                    f"imb_det.{type(step).__name__}",
                    type(sampler).__name__,
                    "Write `sampler=dict(type='imb_det.RepeatFactorSampler')` into "
                    "`train_dataloader`, if rare classes are to come more often",
                )
        return
    name = type(sampler).__name__
    notes = sampler.notes()
    elsewhere = {*repeats_twice(dataset), *long_epoch(sampler, len(sampler.image))}
    for warning in sampler.receipt().warnings:
        if warning in notes:
            yield Finding(
                "idle_sampler",
                Severity.WARNING,
                "a sampler does nothing, or not what it seems to",
                name,
                warning,
            )
        elif warning not in elsewhere:
            yield Finding(
                "even_partners",
                Severity.WARNING,
                "transforms mix in images that a sampler has not chosen",
                name,
                warning,
                "Write `imb_det.Mosaic`, `imb_det.MixUp` and `imb_det.RareCopyPaste` "
                "in place of mmdet's `Mosaic`, `MixUp` and `CopyPaste`",
            )
    for warning in long_epoch(sampler, len(sampler.image)):
        yield Finding(
            "long_epoch",
            Severity.WARNING,
            "a sampler makes an epoch much longer",
            name,
            warning,
        )


def _repeats_outside(dataset: object) -> Iterator[Finding]:
    """Find wrappers that repeat pictures, whose other images they do not choose."""
    for node in dataset_nodes(dataset):
        inside = list(dataset_nodes(node))[1:]
        mixers = [n for n in inside if hasattr(n, "pipeline_types")]
        if hasattr(node, "repeat_indices") and mixers:
            yield Finding(
                "even_partners",
                Severity.WARNING,
                "a wrapper repeats pictures, whose other images it does not choose",
                type(node).__name__,
                f"it is around {type(mixers[0]).__name__}",
                "Write `dict(type='MultiImageMixDataset', dataset=dict("
                "type='ClassBalancedDataset', dataset=...), pipeline=[...])`",
            )
