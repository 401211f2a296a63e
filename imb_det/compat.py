"""Checks the mmdet stack once, at import, and explains what is wrong with it."""

from __future__ import annotations

import importlib

__all__ = ["check_stack"]

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
