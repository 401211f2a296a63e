"""Reads a config, or says in one line why it cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.config.config import ConfigParsingError

from imb_det.command_line.config_keys import misspelt_keys
from imb_det.core.finding import Finding, Severity

from .imported_types import import_types

__all__ = ["read_config"]


def read_config(
    path: str | Path, options: Mapping[str, Any] | None = None
) -> tuple[Any, list[Finding]]:
    """Read a config file, which is a program that is run.

    Args:
        path: The file.
        options: What the command line changes in it. Default: nothing.

    Returns:
        The config (:class:`mmengine.config.Config`), or None where it cannot be read;
        and what is wrong with it.
    """
    try:
        if Path(path).is_dir():
            raise IsADirectoryError(f"{path} is a folder")
        config = Config.fromfile(path)
        if options:
            config.merge_from_dict(dict(options))
        import_types(config)
    except (Exception, SystemExit) as error:  # whatever the program does
        return None, [_unreadable(str(path), error)]
    return config, list(misspelt_keys(config))


def _unreadable(path: str, error: BaseException) -> Finding:
    kind = type(error).__name__
    text = " ".join(str(error).split())
    expected = isinstance(error, (OSError, ConfigParsingError))
    return Finding(
        "config",
        Severity.ERROR,
        "the config cannot be read",
        path,
        text if expected and text else f"{kind}: {text}",
        "Correct the file, or the one of `_base_` that the message names",
    )
