"""Words of messages that many parts of the library write."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["and_more"]


def and_more(items: Iterable[Any], most: int = 5) -> str:
    """Name the first of many things, and how many more there are.

    Args:
        items: What there is.
        most: How many of them are named, >= 1. Default 5.

    Returns:
        Their ``repr``, in brackets.

    Example:
        >>> and_more(["ant", "bee", "cat"], most=2)
        "['ant', 'bee'] and 1 more"
        >>> and_more(("ant",))
        "['ant']"
    """
    everything = list(items)
    more = len(everything) - most
    return f"{everything[:most]}" + f" and {more} more" * (more > 0)
