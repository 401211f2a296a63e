"""What a changed detector is kept in: a config and a checkpoint."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from torch import Tensor

from imb_det.checkpoint_files import read_weights, without_training
from imb_det.core.shown_text import write_text
from imb_det.statistics import ClassStats

from .calibrators import Calibration

__all__ = [
    "calibrated_config",
    "changed_config",
    "write_calibrated",
    "write_changed",
]


def changed_config(config: Config, changes: Mapping[str, Any]) -> Config:
    """Return a config whose model has other entries, and that imports the library.

    Args:
        config: Of the detector.
        changes: Entries of its ``model``.
    """
    made = Config(config.to_dict())
    made.model = ConfigDict({**made.model, **changes})
    imports = made.setdefault("custom_imports", ConfigDict(imports=[]))
    names = imports.get("imports") or []
    names = [names] if isinstance(names, str) else list(names)
    if "imb_det" not in names:
        made.custom_imports = dict(
            imports=[*names, "imb_det"], allow_failed_imports=False
        )
    return made


def calibrated_config(config: Config, calibrators: Sequence[Any]) -> Config:
    """Return a config of the same detector with calibrators.

    Args:
        config: Of the detector.
        calibrators: Configs.
    """
    return changed_config(config, _with_calibrators(config, calibrators))


def _with_calibrators(config: Config, calibrators: Sequence[Any]) -> dict[str, Any]:
    return dict(
        type="imb_det.CalibratedDetector",
        detector=config.model.type,
        calibrators=list(calibrators),
    )


def write_changed(
    config: Config,
    source: str | Path,
    changes: Mapping[str, Any],
    content: Mapping[str, Any],
    state: Mapping[str, Tensor],
    stem: Path,
    options: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write a config, based on that of the detector, and a checkpoint.

    The checkpoint has the whole config in it, for ``DetInferencer(weights=...)``.

    Args:
        config: Of the detector, as read.
        source: Its file.
        changes: Entries of its ``model``.
        content: What else the checkpoint has, such as ``meta``.
        state: Parameters and buffers.
        stem: Path of both files, without ``.py`` and ``.pth``.
        options: What the config has been changed by since it was read, by dotted
            names; the config that is written has them too. Default None.

    Returns:
        The files.
    """
    whole = changed_config(config, changes)
    out = stem.parent.resolve()
    base = Path(os.path.relpath(Path(source).resolve(), out)).as_posix()
    patch = Config(dict(custom_imports=whole.custom_imports))
    patch.merge_from_dict(_with_whole_lists(config, options or {}))
    patch.merge_from_dict(dict(model=dict(changes)))
    files = [stem.with_suffix(".py"), stem.with_suffix(".pth")]
    write_text(files[0], f"_base_ = {base!r}\n{patch.pretty_text}")
    meta = {**(content.get("meta") or {}), "cfg": whole.pretty_text}
    torch.save({**content, "meta": meta, "state_dict": dict(state)}, files[1])
    return files


def _with_whole_lists(config: Config, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options that another config can have, which takes lists as a whole."""
    found: dict[str, Any] = {}
    for name, value in options.items():
        here, parts = config, name.split(".")
        found[name] = value
        for depth, part in enumerate(parts):
            if isinstance(here, (list, tuple)):
                del found[name]
                found[".".join(parts[:depth])] = here
                break
            here = here.get(part) if isinstance(here, (Config, Mapping)) else None
    return found


def write_calibrated(
    config: Config,
    source: str | Path,
    checkpoint: str | Path,
    calibrators: Sequence[Any],
    stats: ClassStats,
    out: Path,
    options: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write ``calibrated.py`` and ``calibrated.pth``, see :func:`write_changed`.

    The checkpoint has the counts of the classes too; what a training would go on from
    is left out.

    Args:
        config: Of the detector, as read.
        source: Its file.
        checkpoint: Its weights.
        calibrators: Configs.
        stats: Counts of the training set.
        out: Folder.
        options: See :func:`write_changed`. Default None.

    Returns:
        The files.
    """
    content, state = read_weights(checkpoint)
    kept = without_training(content)
    kept["imb_det"] = {**kept.get("imb_det", {}), "class_stats": stats.to_dict()}
    extra = Calibration(calibrators).state_dict(prefix="calibration.")
    changes = _with_calibrators(config, calibrators)
    return write_changed(
        config, source, changes, kept, {**state, **extra}, out / "calibrated", options
    )
