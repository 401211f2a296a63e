"""Files that keep what took long to count."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

__all__ = ["default_cache_dir", "write_whole"]


def default_cache_dir() -> Path:
    """Return ``$XDG_CACHE_HOME/imb_det`` or ``~/.cache/imb_det``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "imb_det"


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file so that no reader ever sees half of it.

    Args:
        path: The file; its folder is made.
        write: Gets a binary file to write to.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            write(file)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
