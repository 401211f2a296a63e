"""What the counts of a data set mean for the methods: a table to read and to paste."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from imb_det.core.shown_text import shown, write_text

from .class_stats import ClassStats
from .class_weights import weight_rules
from .imbalance_measures import gini, imbalance_ratio
from .repeat_factors import ClassRepeats, RepeatRule

__all__ = ["ClassOverview"]


@dataclass(frozen=True, eq=False)
class ClassOverview:
    """Counts, groups, weights by each rule and repeat factors of the classes.

    Args:
        stats: The counts.
        source: What was counted, for the first line.

    Example:
        >>> stats = ClassStats(["cat", "emu"], [90, 1], [200, 1], 100)
        >>> print(ClassOverview(stats, "a.json").markdown().splitlines()[2])
        imbalance ratio of boxes 200, Gini coefficient 0.495
    """

    stats: ClassStats
    source: str

    @cached_property
    def weights(self) -> dict[str, np.ndarray]:
        """Weights of the classes by the name of the rule, float64 (C,) each."""
        return {name: rule(self.stats) for name, rule in weight_rules().items()}

    @cached_property
    def repeats(self) -> dict[str, ClassRepeats]:
        """Repeat factors by the threshold, the default one and ``'auto'``."""
        rules = RepeatRule("ClassOverview"), RepeatRule("ClassOverview", "auto")
        return {f"{rule.repeat_thr}": rule.of_classes(self.stats) for rule in rules}

    @cached_property
    def group_of(self) -> list[str]:
        """Name of the group of each class."""
        names = [""] * self.stats.num_classes
        for name, members in self.stats.groups().items():
            for label in members.tolist():
                names[label] = name
        return names

    def markdown(self, rows: int | None = None) -> str:
        """Return the table in Markdown, the most frequent class first.

        Args:
            rows: Classes that it shows at most, half of them the most frequent ones
                and half the rarest. Default: None, all.
        """
        stats = self.stats
        boxes = stats.instance_count
        lines = [
            f"{shown(self.source, 300)}: {stats.num_images} images, {boxes.sum()} "
            f"boxes, {stats.num_classes} classes  ",
            f"{stats.describe_groups()}  ",
            f"imbalance ratio of boxes {_number(imbalance_ratio(boxes))}, Gini "
            f"coefficient {_number(gini(boxes))}",
            "",
        ]
        columns = {"class": [_cell(name) for name in stats.classes]}
        columns["group"] = self.group_of
        columns["images"] = [str(n) for n in stats.image_count.tolist()]
        columns["boxes"] = [str(n) for n in boxes.tolist()]
        if stats.pixel_count is not None:
            columns["pixels"] = [str(n) for n in stats.pixel_count.tolist()]
        told: dict[str, np.ndarray] = {}
        notes = []
        for name, weights in self.weights.items():
            same = [k for k, v in told.items() if np.array_equal(v, weights)]
            if same:
                notes.append(f"weights of `{name}` are those of `{same[0]}`")
                continue
            told[name] = weights
            columns[f"`{name}`"] = [_number(x) for x in weights.tolist()]
        for name, repeats in self.repeats.items():
            title = f"repeats, `repeat_thr={name!r}`" if name == "auto" else ""
            title = title or f"repeats, `repeat_thr={name}`"
            columns[title] = [_number(x) for x in repeats.factors.tolist()]
        notes.append(f"`repeat_thr='auto'` is {self.repeats['auto'].threshold:.4g}")
        return "\n".join([*lines, *self._table(columns, rows), "", "; ".join(notes)])

    def _table(self, columns: dict[str, list[str]], most: int | None) -> list[str]:
        order = np.lexsort((-self.stats.instance_count, -self.stats.image_count))
        content = [[column[i] for column in columns.values()] for i in order.tolist()]
        if most is not None and len(content) > most:
            half = (most + 1) // 2
            gap = [[f"... {len(content) - most} more", *[""] * (len(columns) - 1)]]
            content = content[:half] + gap + content[len(content) - most + half :]
        ruler = ["---"] * 2 + ["---:"] * (len(columns) - 2)
        return [_line(row) for row in (list(columns), ruler, *content)]

    def to_dict(self) -> dict[str, Any]:
        """Return everything in plain form; ``ClassStats`` can be read from it."""
        boxes, stats = self.stats.instance_count, self.stats
        members = stats.groups().items()
        return {
            **stats.to_dict(),
            "source": self.source,
            "imbalance_ratio": _finite(imbalance_ratio(boxes)),
            "gini": _finite(gini(boxes)),
            "groups": {name: [stats.classes[i] for i in own] for name, own in members},
            "weights": {name: own.tolist() for name, own in self.weights.items()},
            "repeat_thresholds": {n: r.threshold for n, r in self.repeats.items()},
            "repeat_factors": {n: r.factors.tolist() for n, r in self.repeats.items()},
        }

    def write(self, path: Path) -> None:
        """Write JSON, which :meth:`ClassStats.from_file` reads, and Markdown beside it.

        Args:
            path: Of the JSON file; its folder is made.

        Raises:
            OSError: It cannot be written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(self.to_dict(), indent=1) + "\n")
        write_text(path.with_suffix(".md"), self.markdown() + "\n")


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else value


def _cell(name: str) -> str:
    """Keep a name from being read as markup or as the end of a cell."""
    text = shown(name).replace("\\", "\\\\")
    for sign in "|`*[]<":
        text = text.replace(sign, "\\" + sign)
    return text


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
