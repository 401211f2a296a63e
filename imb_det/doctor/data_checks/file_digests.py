"""Files with the same bytes, found by reading as little of them as possible."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tqdm import tqdm

__all__ = ["PROGRESS_FROM", "each_file", "same_files"]

#: Files from which on a bar is shown; fewer are a matter of seconds.
PROGRESS_FROM = 2000
_TAIL_BYTES = 4096
_BLOCK = 1 << 20
_THREADS = 8
_BATCH = 64  # files a task of the thread pool


def same_files(paths: Sequence[str]) -> list[list[str]]:
    """Group the files that have the same bytes.

    Files of one length are compared by their last bytes, and those that agree in
    these as well by a digest of the whole. Two names of one file are two files here.

    Args:
        paths: Each once. What is no regular file, or cannot be read, is in no group.

    Returns:
        Groups of two or more, in the order of the paths.
    """
    groups = [list(paths)]
    for key, what in (
        (_length, "comparing the lengths of image files"),
        (_tail, "comparing the ends of image files"),
        (_digest, "comparing image files"),
    ):
        groups = _split(groups, key, what)
    return groups


def _split(
    groups: list[list[str]], key: Callable[[str], Hashable], what: str
) -> list[list[str]]:
    everyone = [path for group in groups for path in group]
    found = dict(zip(everyone, each_file(everyone, key, what), strict=True))
    parts: list[list[str]] = []
    for group in groups:
        own: dict[Any, list[str]] = defaultdict(list)
        for path in group:
            if found[path] is not None:
                own[found[path]].append(path)
        parts += [part for part in own.values() if len(part) > 1]
    return parts


def each_file(paths: Sequence[str], look: Callable[[str], Any], what: str) -> list[Any]:
    """Look at files in several threads, with a bar where they are many.

    Args:
        paths: The files.
        look: Returns what is wanted; for a file that cannot be read or understood it
            may raise an ``OSError``, ``ValueError`` or ``SyntaxError``.
        what: Title of the bar.

    Returns:
        One result a path; None where it could not be had.
    """

    def batch(start: int) -> list[Any]:
        return [_tried(look, path) for path in paths[start : start + _BATCH]]

    results: list[Any] = []
    with (
        ThreadPoolExecutor(_THREADS) as pool,
        tqdm(
            total=len(paths), desc=what, unit="file", disable=len(paths) < PROGRESS_FROM
        ) as bar,
    ):
        for part in pool.map(batch, range(0, len(paths), _BATCH)):
            results += part
            bar.update(len(part))
    return results


def _tried(look: Callable[[str], Any], path: str) -> Any:
    try:
        return look(path)
    except (OSError, ValueError, SyntaxError):
        return None


def _length(path: str) -> int | None:
    status = os.stat(path)
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _tail(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        file.seek(max(0, file.seek(0, 2) - _TAIL_BYTES))
        return hashlib.blake2b(file.read(_TAIL_BYTES), digest_size=16).digest()


def _digest(path: str) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    with open(path, "rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.digest()
