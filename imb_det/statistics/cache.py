"""Files that keep what took long to count, and files that are written whole."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

__all__ = ["checksum", "default_cache_dir", "write_whole"]

_OLD = 24 * 3600.0  # seconds after which nobody writes on at a part


def default_cache_dir() -> Path | None:
    """Return ``$XDG_CACHE_HOME/imb_det`` or ``~/.cache/imb_det``.

    A container that runs with any user id may have no home: neither ``HOME`` nor an
    entry in the list of users. There it is None, and nothing is cached.
    """
    if named := os.environ.get("XDG_CACHE_HOME"):
        return Path(named) / "imb_det"
    try:
        return Path.home() / ".cache" / "imb_det"
    except (KeyError, RuntimeError):
        return None


def checksum(parts: Iterable[bytes | memoryview]) -> str:
    """Return the SHA-256 of some bytes, each part with its length, in hex.

    Args:
        parts: What to sum up. A key among it ties a file to its name.
    """
    digest = hashlib.sha256()
    for part in parts:
        view = memoryview(part).cast("B") if len(part) else memoryview(b"")
        digest.update(len(view).to_bytes(8, "little"))
        digest.update(view)
    return digest.hexdigest()


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file so that no reader ever sees half of it.

    What is written first stands beside it as ``<name>.<16 hex digits>.part``, a name
    that no two writers share, whatever their process ids. Parts of the same kind that
    writers left when they were killed are removed once they are a day old.

    Args:
        path: The file; its folder is made.
        write: Gets a binary file to write to.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_old_parts(path)
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as file:
            write(file)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _remove_old_parts(path: Path) -> None:
    """Remove parts of this file, and of others whose name has another hash in it."""
    # Version 0.1 named them by the process, in place of the ending.
    names = "|".join(
        re.sub("[0-9a-f]{32}", "[0-9a-f]{32}", re.escape(name)) + end
        for name, end in ((path.name, r"\.[0-9a-f]{16}"), (path.stem, r"\.[0-9]+"))
    )
    pattern = re.compile(rf"(?:{names})\.part")
    for part in path.parent.glob("*.part"):
        try:
            if pattern.fullmatch(part.name) and part.stat().st_mtime < _oldest():
                part.unlink()
        except OSError:  # another writer was faster, or it is somebody else's
            continue


def _oldest() -> float:
    return time.time() - _OLD
