"""Checks the mmdet stack once, at import, explains what is wrong, mends what it can."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch

__all__ = ["check_stack", "load_whole_checkpoints"]

_INSTALL = (
    "install one stack: `pip install 'imb-det[onedl]'` (maintained) or "
    "`pip install 'imb-det[openmmlab]'` (original); mmcv compiles for some minutes "
    "and needs torch first and `--no-build-isolation`"
)


def check_stack() -> None:
    """Import mmengine, mmcv with its operators, and mmdet.

    Raises:
        ImportError: A package is missing, or mmcv was built without operators.
    """
    for name in ("mmengine", "mmcv", "mmdet"):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            raise ImportError(f"imb_det needs {name}; {_INSTALL}") from error
    try:
        importlib.import_module("mmcv.ops")
    except ImportError as error:
        raise ImportError(
            f"mmcv is installed without its compiled operators ({error}): it was built "
            "without torch in sight, or for another torch. Reinstall it with `pip "
            "install --no-build-isolation --no-cache-dir --force-reinstall --no-deps` "
            "and the package name of your stack (onedl-mmcv or mmcv)"
        ) from error


def load_whole_checkpoints() -> None:
    """Let mmengine 0.10.7 load its own checkpoints with torch 2.6 or newer.

    They hold the log history beside the weights, which ``torch.load`` refuses since it
    loads weights only by default. Later versions of mmengine ask for the rest; for this
    one its loader of local files is replaced, through mmengine's own registration.
    """
    from mmengine.runner import checkpoint

    if hasattr(checkpoint, "_safe_torch_load"):
        return

    def load_from_local(filename: str, map_location: Any) -> Any:
        path = Path(filename).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"{filename} can not be found.")
        return torch.load(path, map_location=map_location, weights_only=False)

    checkpoint.CheckpointLoader.register_scheme(
        prefixes="", loader=load_from_local, force=True
    )
