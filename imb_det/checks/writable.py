"""Places that metrics and hooks will write to, looked at before they do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmdet.engine.hooks import DetVisualizationHook
from mmengine.hooks import CheckpointHook, LoggerHook

from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity

__all__ = ["check_writable", "obstacle"]

#: Arguments of metrics, and whether they name a folder, a file, or how files begin.
_OF_METRICS = {
    "table_dir": "folder",
    "outfile_prefix": "start",
    "out_file_path": "file",
}


def check_writable(context: CheckContext) -> Iterator[Finding]:
    """Find places where nothing can be written, once an epoch or all images are done.

    Places that a file backend of one's own stands for are not looked at.

    Args:
        context: With metrics and hooks.
    """
    for split, metrics in context.metrics.items():
        for metric in metrics:
            owner = f"{type(metric).__name__} of {split}"
            for argument, kind in _OF_METRICS.items():
                yield from _look(metric, argument, kind, owner)
    for hook in context.hooks:
        owner = type(hook).__name__
        if isinstance(hook, (CheckpointHook, LoggerHook)):
            if "train" in context.datasets:
                yield from _look(hook, "out_dir", "folder", owner)
        elif isinstance(hook, DetVisualizationHook) and hook.draw:
            yield from _look(hook, "test_out_dir", "folder", owner)


def obstacle(folder: Path) -> str:
    """Return why nothing can be written to a folder, made if need be, or nothing."""
    folder = folder.absolute()
    first = next(p for p in (folder, *folder.parents) if p.exists())
    if not first.is_dir():
        return f"{first} is no folder"
    is_open = os.access(first, os.W_OK | os.X_OK)
    return "" if is_open else f"there is no right to write to {first}"


def _look(owner: Any, argument: str, kind: str, where: str) -> Iterator[Finding]:
    """Look at the place that an argument names, if it does."""
    place = getattr(owner, argument, None)
    if not place or "://" in str(place) or getattr(owner, "backend_args", None):
        return
    path = Path(place)
    if kind == "file" and path.exists():
        reason = f"{path} is a folder" if path.is_dir() else ""
        if not reason and not os.access(path, os.W_OK):
            reason = f"there is no right to write to {path}"
    else:
        reason = obstacle(path if kind == "folder" else path.parent)
    if reason:
        yield Finding(
            "unwritable",
            Severity.ERROR,
            "what is to be written cannot be written where it is to",
            f"{where}, `{argument}`",
            f"{place}: {reason}",
            f"Set `{argument}` to a place that can be written to",
        )
