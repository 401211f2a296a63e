"""Places for tables in a README, between two lines that readers do not see."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Place", "places_of"]

_BEGIN = re.compile(r"<!--\s*(?P<kind>results|guide) of (?P<what>.*?)\s*-->")
_WHAT = {
    "results": re.compile(r"([\w-]+)\.([\w-]+)(?:: ([\w -]+))?"),
    "guide": re.compile(r"([\w-]+)(?: beside ([\w-]+))?()"),
}
_END = "<!-- end of results -->"


class Place(NamedTuple):
    """Where a table stands, and what of.

    Args:
        begin: Where the line ends that begins it.
        end: Where the line begins that ends it.
        kind: ``'results'`` or ``'guide'``.
        experiment: Name of the experiment.
        dataset: Name of the data set; of the guide, the experiment that is told of
            beside it, None for none.
        methods: Those in it, None for all.
    """

    begin: int
    end: int
    kind: str
    experiment: str
    dataset: str | None
    methods: list[str] | None


def places_of(text: str) -> Iterator[Place]:
    """Yield the places of a text, in order.

    Args:
        text: Of a README.

    Raises:
        ValueError: A place that does not end or begin, or a line that is nearly one.
    """
    begins = list(_BEGIN.finditer(text))
    for begin in begins:
        end = text.find(_END, begin.end())
        if end < 0 or _BEGIN.search(text, begin.end(), end):
            raise ValueError(f"README: no line {_END!r} after {begin[0]!r}")
        what = _WHAT[begin["kind"]].fullmatch(begin["what"])
        if what is None:
            raise ValueError(
                f"README: {begin[0]!r} must be '<!-- results of EXPERIMENT.DATASET "
                "-->', '<!-- results of EXPERIMENT.DATASET: METHOD METHOD -->' or "
                "'<!-- guide of EXPERIMENT beside EXPERIMENT -->'"
            )
        experiment, dataset, methods = what.groups()
        own = methods.split() if methods else None
        yield Place(begin.end(), end, begin["kind"], experiment, dataset, own)
    if text.count(_END) > len(begins):
        raise ValueError(f"README: a line {_END!r} without one that begins a table")
