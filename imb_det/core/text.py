"""Words of messages that many parts of the library write."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any

__all__ = ["and_more", "look_alike", "plain_name"]


def and_more(items: Iterable[Any], most: int = 5, *, quoted: bool = True) -> str:
    """Name the first of many things, and how many more there are.

    Args:
        items: What there is.
        most: How many of them are named, >= 1. Default 5.
        quoted: Whether they are written as in code, in brackets, else as text.
            Default True.

    Example:
        >>> and_more(["ant", "bee", "cat"], most=2)
        "['ant', 'bee'] and 1 more"
        >>> and_more(("ant",))
        "['ant']"
        >>> and_more(["ant: 2", "bee: 3", "cat: 5"], most=2, quoted=False)
        'ant: 2, bee: 3 and 1 more'
    """
    everything = list(items)
    more = len(everything) - most
    named = everything[:most]
    text = f"{named}" if quoted else ", ".join(map(str, named))
    return text + f" and {more} more" * (more > 0)


def look_alike(name: str, names: Iterable[str]) -> str | None:
    """Find the name that is perhaps meant by another one, which is none of them.

    Args:
        name: As somebody wrote it.
        names: Those that there are.

    Returns:
        The first that differs in nothing but small and capital letters, blanks,
        hyphens, underscores, or how accents are coded; None if there is none.

    Example:
        >>> look_alike(" Traffic_light", ["bus", "traffic light"])
        'traffic light'
    """
    plain = plain_name(name)
    return next((other for other in names if plain_name(other) == plain), None)


def plain_name(name: str) -> str:
    """Return what :func:`look_alike` compares of a name."""
    letters = unicodedata.normalize("NFKC", name).casefold()
    return "".join(c for c in letters if c not in "-_" and not c.isspace())
