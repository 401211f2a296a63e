"""The learning rate against the size of a batch over all ranks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from imb_det.core.finding import Finding, Severity
from imb_det.doctor.context import DoctorContext

from .heads import mapping_at

__all__ = ["check_learning_rate"]

#: Factor between batches from which on the rate is another one than was meant.
_APART = 2.0


def check_learning_rate(context: DoctorContext) -> Iterator[Finding]:
    """Find a rate that was set for a much larger or smaller batch.

    Configs say by ``auto_scale_lr.base_batch_size`` for which batch their rate is; only
    with ``enable=True`` it follows the batch. Ranks are those of ``WORLD_SIZE``. One
    who has fitted the rate, and left the number of the base, is told what to write.

    Args:
        context: With a config.
    """
    scale = context.config.get("auto_scale_lr")
    loader = context.config.get("train_dataloader")
    if not isinstance(scale, Mapping) or not isinstance(loader, Mapping):
        return
    base, size = scale.get("base_batch_size"), loader.get("batch_size")
    if scale.get("enable"):
        if base is None:
            yield Finding(
                "learning_rate",
                Severity.ERROR,
                "the learning rate is to follow the batch, and it is not said from "
                "which one",
                "`auto_scale_lr`",
                "has no `base_batch_size`",
                "Write `auto_scale_lr=dict(enable=True, base_batch_size=16)`",
            )
        return
    if not isinstance(base, int) or not isinstance(size, int) or base < 1 or size < 1:
        return
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    wrapper = mapping_at(context.config, "optim_wrapper")
    rate = mapping_at(wrapper, "optimizer").get("lr")
    accumulated = wrapper.get("accumulative_counts", 1)
    ratio = size * ranks * accumulated / base
    if 1 / _APART < ratio < _APART:
        return
    evidence = (
        f"the config says that it is for {base} images, and a batch has {size} on "
        f"each of {ranks} rank{'s' * (ranks > 1)}"
    )
    if accumulated != 1:
        evidence += f", {accumulated} of them accumulated"
    remedy = "Write `auto_scale_lr=dict(enable=True)`"
    if ratio > 1:  # often that of a schedule which the config has as a base
        remedy = f"See that the rate is for {base} images, and then w{remedy[1:]}"
    elif "WORLD_SIZE" not in os.environ and base % (size * accumulated) == 0:
        evidence += f"; on {base // (size * accumulated)} ranks it is right"
    own = "a rate for this batch"
    if isinstance(rate, (int, float)):
        evidence = f"lr={rate:g}: {evidence}"
        own += f" ({rate * ratio:.3g}, if {rate:g} is for {base})"
    number = size * ranks * accumulated
    remedy += f"; or, with {own}, `auto_scale_lr=dict(base_batch_size={number})`"
    yield Finding(
        "learning_rate",
        Severity.WARNING,
        "the learning rate is said to be for another number of images in a batch",
        "`auto_scale_lr.base_batch_size`",
        evidence,
        remedy,
    )
