"""What is published of an experiment, and the tables that are made of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from imb_det.core import and_more

from .guide import guide_table
from .places import places_of
from .results import read_results
from .tables import markdown_table

__all__ = ["Published"]


class Published:
    """What is published of an experiment, and the tables that are made of it.

    Args:
        path: File of the experiment, which is run.

    Raises:
        FileNotFoundError: Nothing is published beside it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        methods = Config.fromfile(self.path).methods
        self.titles = {name: own.get("title", name) for name, own in methods.items()}
        self.results: dict[str, list[dict[str, Any]]] = {}
        for result in read_results(self.path.with_suffix(".results.jsonl")):
            self.results.setdefault(result["dataset"], []).append(result)

    def table(self, dataset: str, methods: Sequence[str] | None = None) -> str:
        """Make a table.

        Args:
            dataset: Name of the data set.
            methods: Beside the first one; None for all. Default: None.

        Raises:
            ValueError: There are no results of them.
        """
        own = self.results.get(dataset, [])
        known = {result["method"] for result in own}
        if missing := [name for name in methods or known or "?" if name not in known]:
            raise ValueError(
                f"{self.path.name}: no results of {and_more(missing)} on {dataset!r}"
            )
        titles = self.titles
        if methods is not None:
            first = next(name for name in titles if name in known)
            titles = {name: titles[name] for name in (first, *methods)}
        return markdown_table(own, titles, self._comparison(dataset))

    def guide(self, beside: str | None = None) -> str:
        """Make the guide, what to use when.

        Args:
            beside: Another experiment in the same folder, of which it tells as well.
                Default: None.

        Raises:
            FileNotFoundError: Nothing is published of the other experiment.
            ValueError: It rests on a method that is not compared.
        """
        if beside is None:
            return guide_table(self.titles, self.comparisons)
        other = Published(self.path.with_stem(beside)).comparisons
        return guide_table(
            self.titles, self.comparisons, beside=other, place=beside.split("_")[-1]
        )

    @property
    def comparisons(self) -> dict[str, dict[str, Any]]:
        """What is compared, by data set."""
        found = {dataset: self._comparison(dataset) for dataset in self.results}
        return {dataset: one for dataset, one in found.items() if one is not None}

    def _comparison(self, dataset: str) -> dict[str, Any] | None:
        file = self.path.with_suffix(f".{dataset}.json")
        if not file.is_file():
            return None
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return content

    def written_into(self, text: str) -> str:
        """Put tables into their places in a text.

        Args:
            text: Of a README.

        Raises:
            ValueError: A place that does not end, or a table without results.
        """
        parts, at = [], 0
        for place in places_of(text):
            if place.experiment == self.path.stem:
                if place.kind == "guide":
                    table = self.guide(place.dataset)
                else:
                    table = self.table(str(place.dataset), place.methods)
                parts += [text[at : place.begin], f"\n{table}"]
                at = place.end
        return "".join([*parts, text[at:]])
