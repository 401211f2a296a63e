"""The picture of a comparison: differences with their intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from imb_det.figure_style import GREY, grid_lines, label_of, save_figure

__all__ = ["plot_differences"]

#: Methods above the first one, below it, and those of which nothing is known.
_ABOVE, _BELOW = "#4c72b0", "#c44e52"
_PANEL, _ROW, _LETTER = 1.5, 0.24, 0.07  # inches of a figure, a method, a letter


def plot_differences(path: str | Path, comparison: Mapping[str, Any]) -> None:
    """Draw how much each method is above the first one: a row each, a panel a figure.

    Points are the differences on the test set, lines their intervals, blue or red where
    they lie above or below 0; a figure that is not defined is left out.

    Args:
        path: File to write (PNG).
        comparison: Of M >= 2 methods, see :meth:`.RunComparison.to_dict`.
    """
    differences, baseline = comparison["differences"], comparison["baseline"]
    names = list(comparison["methods"][baseline]["figures"])
    labels = [label_of(name) for name in differences]
    margin = max(map(len, labels)) * _LETTER
    others, panels = len(labels), len(names)
    figure = Figure(figsize=(max(margin + panels * _PANEL, 5), 1.1 + others * _ROW))
    axes = np.atleast_1d(figure.subplots(1, panels, sharey=True))
    for panel, name in zip(axes, names, strict=True):
        panel.axvline(0, color=GREY, lw=1)
        row, change, low, high = _known(differences.values(), name)
        colours = np.where(low > 0, _ABOVE, np.where(high < 0, _BELOW, GREY))
        panel.hlines(row, low, high, colors=colours, lw=1.8)
        panel.scatter(change, row, s=16, color=colours, zorder=3)
        panel.set_title(name, fontsize=9)
        panel.tick_params(labelsize=7)
        panel.locator_params(axis="x", nbins=4)
        grid_lines(panel, "x")
    axes[0].set_yticks(np.arange(others), labels)
    axes[0].set_ylim(others - 0.4, -0.6)
    confidence = comparison["settings"]["confidence"]
    figure.supxlabel(
        f"difference to {label_of(baseline)}, with {confidence:.0%} interval",
        fontsize=9,
    )
    save_figure(figure, path)


def _known(
    differences: Iterable[Mapping[str, Any]], figure: str
) -> tuple[np.ndarray, ...]:
    """Return rows, differences, and lower and upper ends of what is defined."""
    found = []
    for row, own in enumerate(differences):
        entry = own.get(figure)  # a row of an earlier time may lack it
        if entry and None not in (entry["difference"], *entry["interval"]):
            found.append((row, entry["difference"], *entry["interval"]))
    return tuple(np.reshape(np.array(found, dtype=float), (-1, 4)).T)
