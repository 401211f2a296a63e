"""Samplers beside transforms that mix several images into one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from imb_det.core.finding import Finding, Severity
from imb_det.core.listener import PartnerListener
from imb_det.doctor.context import DoctorContext
from imb_det.runner_parts import transforms_of
from imb_det.samplers import EpochSampler
from imb_det.samplers.epoch_length import long_epoch, repeats_twice
from imb_det.transforms.weighted_partners import WeightedPartners

from .counted_twice import sampler_of

__all__ = ["check_mixed_samplers"]


def check_mixed_samplers(context: DoctorContext) -> Iterator[Finding]:
    """Find what the receipt of a sampler warns of: what mixes past it, and idle rules.

    Args:
        context: Of a training.
    """
    loader = context.config.get("train_dataloader")
    if isinstance(loader, Mapping):
        yield from _repeats_outside(loader.get("dataset"))
    if "train" not in context.datasets:
        return
    dataset, sampler = context.datasets["train"], sampler_of(context)
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
                "Write `sampler=dict(type='DefaultSampler', shuffle=True)` into "
                "`train_dataloader`, or other options of the sampler",
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
            "Write `num_samples='dataset'` into `train_dataloader.sampler`",
        )


def _repeats_outside(dataset: Any) -> Iterator[Finding]:
    """Find wrappers in a config that are to repeat pictures of several images."""
    while isinstance(dataset, Mapping):
        inner = dataset.get("dataset")
        kinds = [_kind(part) for part in (dataset, inner)]
        if kinds == ["ClassBalancedDataset", "MultiImageMixDataset"]:
            yield Finding(
                "repeats_outside",
                Severity.ERROR,
                "a wrapper cannot repeat pictures of several images by their classes",
                "`train_dataloader.dataset`",
                "ClassBalancedDataset is around MultiImageMixDataset",
                "Write `dict(type='MultiImageMixDataset', dataset=dict("
                "type='ClassBalancedDataset', dataset=...), pipeline=[...])`",
            )
        dataset = inner


def _kind(config: Any) -> str:
    kind = config.get("type") if isinstance(config, Mapping) else None
    name = kind if isinstance(kind, str) else getattr(kind, "__name__", "")
    return name.rpartition(".")[2]
