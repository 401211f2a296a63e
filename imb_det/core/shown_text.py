"""Names of classes, files and runs, brought to where people read them.

They come from files and may be anything: empty, as long as a book, with line feeds and
control characters that terminals obey, with halves of characters that no file holds.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

__all__ = ["accept_any_text", "shown", "write_text"]


def shown(name: str, most: int = 60) -> str:
    r"""Write a name in one line, all of it visible, and shortened where it is long.

    Args:
        name: Any string.
        most: Characters that are shown, >= 8. Default: 60.

    Returns:
        The name itself where nothing is wrong with it. Control characters, those that
        turn the direction of writing, and halves of characters are escaped as in code.

    Example:
        >>> shown("traffic light")
        'traffic light'
        >>> print(shown("a\nb"), shown("", 8), shown("0123456789", 8))
        a\nb '' 01234...
    """
    text = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii")
        for c in name[: most + 1]
    )
    if len(text) > most:
        text = text[: most - 3] + "..."
    return text if text.strip() else repr(text)


def accept_any_text() -> None:
    """Let standard output and error escape what their encoding does not have.

    In a locale of plain ASCII, Python would stop at the first letter of another kind.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whatever the language of the machine.

    Args:
        path: The file.
        text: Halves of characters, which UTF-8 does not have, are escaped.

    Raises:
        OSError: It cannot be written.
    """
    path.write_text(text, encoding="utf-8", errors="backslashreplace")
