"""Checks the mmdet stack once, at import, explains what is wrong, mends what it can."""

from __future__ import annotations

import importlib

__all__ = ["check_stack", "load_checkpoints_safely"]

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


def load_checkpoints_safely() -> None:
    """Let mmengine read checkpoints as :mod:`.checkpoint_files` does.

    Version 0.10.7 cannot read its own ones with torch 2.6 or newer, which load weights
    only by default: they hold the log history too. Later versions fall back to running
    what is in the file, with little said, and all of them do so with downloads.
    """
    from mmengine.runner import checkpoint

    from .checkpoint_files import read_checkpoint, read_checkpoint_of_url

    checkpoint.CheckpointLoader.register_scheme(
        prefixes="", loader=read_checkpoint, force=True
    )
    # Loaders of other schemes take these from their module.
    checkpoint._safe_torch_load = read_checkpoint
    checkpoint.load_url = read_checkpoint_of_url
