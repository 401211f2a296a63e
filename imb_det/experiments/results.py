"""Results of runs as JSON lines, which can be committed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .files import write_file

__all__ = ["merge_results", "read_results"]

_KEY = ("dataset", "method", "seed")


def read_results(path: str | Path) -> list[dict[str, Any]]:
    """Read a file of results.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: There is none.
        ValueError: A line that is no result; names it.
    """
    results: list[dict[str, Any]] = []
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            result = json.loads(line)
            key = [result[name] for name in _KEY]
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"{path}, line {number}: no result of a run ({error!r}): {line[:80]!r}"
            ) from None
        if any(key == [other[name] for name in _KEY] for other in results):
            raise ValueError(f"{path}, line {number}: a second result of {key}")
        results.append(result)
    return results


def merge_results(path: str | Path, results: Iterable[Mapping[str, Any]]) -> None:
    """Add results to a file, each in its place; newer ones replace older ones.

    Args:
        path: The file; it is made if it is not there.
        results: Of runs.
    """
    path = Path(path)
    every = {_key(r): r for r in (read_results(path) if path.is_file() else [])}
    every.update((_key(r), dict(r)) for r in results)
    lines = [json.dumps(every[key]) for key in sorted(every)]
    write_file(path, "".join(f"{line}\n" for line in lines))


def _key(result: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(result[name] for name in _KEY)
