"""The picture of a comparison: differences with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from imb_det.evaluation.functional.bootstrap import BootstrapResults
from imb_det.figure_style import GREY, grid_lines, label_of, save_figure

__all__ = ["plot_differences"]

#: Methods above the first one, below it, and those of which nothing is known.
_ABOVE, _BELOW = "#4c72b0", "#c44e52"
_PANEL, _ROW, _LETTER = 1.5, 0.24, 0.07  # inches of a figure, a method, a letter


def plot_differences(
    path: str | Path,
    names: Sequence[str],
    results: BootstrapResults,
    confidence: float = 0.95,
) -> None:
    """Draw how much each method is above the first one: a row each, a panel a figure.

    Points are the differences on the test set, lines their intervals, blue or red where
    they lie above or below 0; a figure that is not defined is left out.

    Args:
        path: File to write (PNG).
        names: Of the methods, M >= 2, the first one is what they are compared to.
        results: Figures of the methods.
        confidence: Of the intervals, in (0, 1). Default: 0.95.
    """
    others = len(names) - 1
    ends = results.difference_intervals(confidence)[1:]
    change = results.differences[1:]
    labels = [label_of(name) for name in names]
    margin = max(map(len, labels)) * _LETTER
    panels = len(results.figures)
    figure = Figure(figsize=(max(margin + panels * _PANEL, 5), 1.1 + others * _ROW))
    row = np.arange(others)
    axes = np.atleast_1d(figure.subplots(1, panels, sharey=True))
    for f, (panel, name) in enumerate(zip(axes, results.figures, strict=True)):
        low, high = ends[:, f].T
        known = np.isfinite(change[:, f]) & np.isfinite(ends[:, f]).all(1)
        colours = np.where(low > 0, _ABOVE, np.where(high < 0, _BELOW, GREY))
        panel.axvline(0, color=GREY, lw=1)
        panel.hlines(row[known], low[known], high[known], colors=colours[known], lw=1.8)
        panel.scatter(
            change[known, f], row[known], s=16, color=colours[known], zorder=3
        )
        panel.set_title(name, fontsize=9)
        panel.tick_params(labelsize=7)
        panel.locator_params(axis="x", nbins=4)
        grid_lines(panel, "x")
    axes[0].set_yticks(row, labels[1:])
    axes[0].set_ylim(others - 0.4, -0.6)
    figure.supxlabel(
        f"difference to {labels[0]}, with {confidence:.0%} interval", fontsize=9
    )
    save_figure(figure, path)
