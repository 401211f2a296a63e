"""Figures that are watched, against those that metrics report."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from mmdet.evaluation import CocoMetric, LVISMetric
from mmdet.evaluation import VOCMetric as MmdetVOCMetric
from mmengine.hooks import CheckpointHook, EarlyStoppingHook

from imb_det.core.finding import Finding, Severity
from imb_det.doctor.context import DoctorContext
from imb_det.evaluation import LVISMetric as OwnLVISMetric
from imb_det.evaluation import VOCMetric as OwnVOCMetric

__all__ = ["check_watched_keys"]

_KNOWN = (CocoMetric, LVISMetric, MmdetVOCMetric)
_COCO = r"mAP(_50|_75|_s|_m|_l)?"
_LVIS = "AP(50|75|[smlrcf])?"
_OF_GROUPS = r"A[PR][rcf](_50)?|AP_(gap|gmean|worst)"


def check_watched_keys(context: DoctorContext) -> Iterator[Finding]:
    """Find what ``save_best`` and early stopping wait for, and no metric reports.

    mmdet's metrics and those of this library are known; what others report is not.

    Args:
        context: With hooks, and the metrics of the validation.
    """
    keys = dict(_keys(context.hooks))
    if not keys:
        return
    metrics = context.metrics.get("val", ())
    if "val" not in context.datasets or not metrics:
        for key, hook in keys.items():
            yield _finding(
                key, hook, "there is no validation", "Add `val_dataloader`, `val_cfg`"
            )
        return
    for key, hook in keys.items():
        if key == "auto":
            continue
        options = []
        for metric in metrics:
            pattern, example = _figures(metric)
            if pattern is None or re.fullmatch(pattern, key):
                break
            options.append(example)
        else:
            yield _finding(
                key,
                hook,
                f"not of {', '.join(type(m).__name__ for m in metrics)}",
                f"Write `{_option(hook)}='{options[0]}'`",
            )


def _keys(hooks: Any) -> Iterator[tuple[str, Any]]:
    for hook in hooks:
        if isinstance(hook, CheckpointHook) and hook.save_best is not None:
            indicators = hook.key_indicators
            for key in [indicators] if isinstance(indicators, str) else indicators:
                yield key, hook
        elif isinstance(hook, EarlyStoppingHook):
            yield hook.monitor, hook


def _option(hook: Any) -> str:
    if isinstance(hook, CheckpointHook):
        return "default_hooks.checkpoint.save_best"
    return "monitor"


def _figures(metric: Any) -> tuple[str | None, str]:
    """Return a pattern of the keys of a metric, None if not known, and one of them."""
    prefix = getattr(metric, "prefix", None)
    start = f"{prefix}/" if prefix else ""
    known = isinstance(metric, _KNOWN)
    if not known or not type(metric).__module__.startswith(("mmdet.", "imb_det.")):
        return (None, "") if not prefix else (f"{re.escape(start)}.*", f"{start}...")
    ours = type(metric).__module__.startswith("imb_det.")
    if isinstance(metric, (MmdetVOCMetric, OwnVOCMetric)):
        if metric.metric != "mAP":
            return f"{re.escape(start)}(recall|AR)@.*", f"{start}AR@100"
        found = r"mAP|AP\d\d(_[\d.]+_[\d.]+)?" + f"|{_OF_GROUPS}" * ours
        return f"{re.escape(start)}({found})", f"{start}mAP"
    names = _LVIS if isinstance(metric, (LVISMetric, OwnLVISMetric)) else _COCO
    chosen = getattr(metric, "metric_items", None)
    parts, example = [], ""
    for kind in metric.metrics:
        if kind in ("proposal", "proposal_fast"):
            parts.append(r"AR[sml]?@\d+")
            example = example or f"{start}AR@{max(metric.proposal_nums)}"
            continue
        items = "|".join(map(re.escape, chosen)) if chosen else names
        more = rf"|{_OF_GROUPS}|AR.*|AP.*|calibration_error.*" * ours
        parts.append(f"{kind}_({items}{more})")
        first = chosen[0] if chosen else ("AP" if names is _LVIS else "mAP")
        example = example or f"{start}{kind}_{first}"
    if getattr(metric, "classwise", False):
        parts.append(".*_precision")
    return f"{re.escape(start)}({'|'.join(parts)})", example


def _finding(key: str, hook: Any, evidence: str, remedy: str) -> Finding:
    return Finding(
        "watched_key",
        Severity.ERROR,
        "no metric of the validation reports the figure that is to be watched",
        f"`{key}`, {type(hook).__name__}",
        evidence,
        remedy,
    )
