"""What a calibrated detector is kept in: a config and a checkpoint."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict

from imb_det.checkpoint_files import read_weights, without_training
from imb_det.core.shown_text import write_text
from imb_det.statistics import ClassStats

from .calibrators import Calibration

__all__ = ["calibrated_config", "write_calibrated"]


def calibrated_config(config: Config, calibrators: Sequence[Any]) -> Config:
    """Return a config of the same detector with calibrators.

    Args:
        config: Of the detector.
        calibrators: Configs.
    """
    made = Config(config.to_dict())
    kind = made.model.type
    made.model = ConfigDict(
        {**made.model, "type": "imb_det.CalibratedDetector", "detector": kind},
        calibrators=list(calibrators),
    )
    imports = made.setdefault("custom_imports", ConfigDict(imports=[]))
    names = imports.get("imports") or []
    names = [names] if isinstance(names, str) else list(names)
    if "imb_det" not in names:
        made.custom_imports = dict(
            imports=[*names, "imb_det"], allow_failed_imports=False
        )
    return made


def write_calibrated(
    config: Config,
    source: str | Path,
    checkpoint: str | Path,
    calibrators: Sequence[Any],
    stats: ClassStats,
    out: Path,
    options: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write ``calibrated.py``, based on the config, and ``calibrated.pth``.

    The checkpoint has the whole config in it, for ``DetInferencer(weights=...)``, and
    the counts of the classes; what a training would go on from is left out.

    Args:
        config: Of the detector, as read.
        source: Its file.
        checkpoint: Its weights.
        calibrators: Configs.
        stats: Counts of the training set.
        out: Folder.
        options: What the config has been changed by since it was read, by dotted
            names; ``calibrated.py`` has them too. Default None.

    Returns:
        The files.
    """
    whole = calibrated_config(config, calibrators)
    base = Path(os.path.relpath(Path(source).resolve(), out.resolve())).as_posix()
    patch = Config(dict(custom_imports=whole.custom_imports))
    patch.merge_from_dict(dict(options or {}))
    patch.merge_from_dict(
        dict(
            model=dict(
                type=whole.model.type,
                detector=whole.model.detector,
                calibrators=list(calibrators),
            )
        )
    )
    files = [out / "calibrated.py", out / "calibrated.pth"]
    write_text(files[0], f"_base_ = {base!r}\n{patch.pretty_text}")
    content, state = read_weights(checkpoint)
    extra = Calibration(calibrators).state_dict(prefix="calibration.")
    kept = without_training(content)
    kept["meta"] = {**kept.get("meta", {}), "cfg": whole.pretty_text}
    kept["state_dict"] = {**state, **extra}
    kept["imb_det"] = {**kept.get("imb_det", {}), "class_stats": stats.to_dict()}
    torch.save(kept, files[1])
    return files
