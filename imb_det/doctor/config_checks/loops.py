"""Validations and tests of which a config has a part."""

from __future__ import annotations

from collections.abc import Iterator

from imb_det.core.finding import Finding, Severity
from imb_det.core.text import and_more
from imb_det.doctor.context import DoctorContext

__all__ = ["check_loops"]


def check_loops(context: DoctorContext) -> Iterator[Finding]:
    """Find a validation or a test that lacks data, loop or metrics.

    mmengine builds no runner then, not even for a training.

    Args:
        context: With a config; one without ``train_cfg`` is that of no training.
    """
    config = context.config
    if config.get("train_cfg") is None:
        return
    for split in ("val", "test"):
        keys = [f"{split}_{part}" for part in ("dataloader", "cfg", "evaluator")]
        absent = [key for key in keys if config.get(key) is None]
        if not absent or len(absent) == len(keys):
            continue
        there = [key for key in keys if key not in absent]
        yield Finding(
            "incomplete_loop",
            Severity.ERROR,
            "a validation or a test lacks a part, and mmengine builds no training with "
            "such a config",
            f"`{'`, `'.join(absent)}`",
            f"None or absent, beside {and_more(there)}",
            f"Write what is absent, or `{' = '.join(keys)} = None`",
        )
