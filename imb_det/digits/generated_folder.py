"""Make a folder of generated files appear complete or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path


def files_digest(folder: Path, files: Iterable[str]) -> str:
    """Hash the names and contents of files.

    Args:
        folder: The folder that holds them.
        files: Their paths below ``folder``; other files are not looked at.

    Returns:
        The SHA-256 digest in hexadecimal.

    Raises:
        FileNotFoundError: If a file is missing.
    """
    digest = hashlib.sha256()
    for name in sorted(files):
        content = (folder / name).read_bytes()
        # Name and length first, so that no two sets of files hash the same bytes.
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


@contextlib.contextmanager
def fill_folder(target: Path) -> Iterator[Path]:
    """Give an empty folder to write into, and move it to ``target`` at the end.

    The work happens in a hidden folder beside ``target``. If the body fails or is
    interrupted, that folder is removed and ``target`` stays as it was; what a killed
    process left behind is removed by the next call.

    Args:
        target: The folder to make or to replace.

    Yields:
        The folder to write into.

    Raises:
        RuntimeError: If another process is filling a folder beside ``target``.
    """
    target = target.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    replaced = target.with_name(f".{target.name}.replaced")
    with _only_writer(target.parent):
        for leftover in (partial, replaced):
            shutil.rmtree(leftover, ignore_errors=True)
        partial.mkdir()
        try:
            yield partial
            if target.exists():
                target.rename(replaced)
            partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


@contextlib.contextmanager
def _only_writer(parent: Path) -> Iterator[None]:
    """Hold a lock on the parent folder, which leaves no lock file behind."""
    import fcntl  # not on every platform, and only needed to write

    handle = os.open(parent, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(
                f"another process is making a data set in {parent}; wait until it "
                "has ended, then repeat"
            ) from None
        except OSError:
            pass  # some network file systems cannot lock a folder
        yield
    finally:
        os.close(handle)
