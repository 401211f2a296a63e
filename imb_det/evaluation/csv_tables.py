"""Tables as CSV that spreadsheets open as what they are: no cell is a formula."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["read_table", "write_table"]

#: What a spreadsheet takes for the beginning of a formula, and the mark against it.
_FORMULA, _MARK = ("=", "+", "-", "@", "\t", "\r", "\n"), "'"


def write_table(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Write rows in UTF-8; a text that begins like a formula gets a ``'`` before it.

    Args:
        path: The file; its folder exists.
        rows: Numbers are written as they are, None as nothing.
    """
    with path.open(
        "w", newline="", encoding="utf-8", errors="backslashreplace"
    ) as file:
        csv.writer(file).writerows(map(_cell, row) for row in rows)


def read_table(path: Path) -> list[list[str]]:
    """Read rows as they were before ``'`` was put before a text."""
    with path.open(newline="", encoding="utf-8") as file:
        return [[_text(cell) for cell in row] for row in csv.reader(file)]


def _cell(value: Any) -> Any:
    is_text = isinstance(value, str)
    return _MARK + value if is_text and value.startswith((*_FORMULA, _MARK)) else value


def _text(cell: str) -> str:
    # Negative numbers have no mark, and so stay.
    return cell[1:] if cell[:1] == _MARK else cell
