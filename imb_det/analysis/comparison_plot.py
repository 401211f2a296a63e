"""The picture of a comparison: differences with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from imb_det.evaluation.functional.bootstrap import BootstrapResults
from imb_det.figure_style import GREY, grid_lines, label_of, save_figure

__all__ = ["plot_differences"]

#: Height that all methods of one figure share, of 1 between two figures.
_SPREAD = 0.7


def plot_differences(
    path: str | Path,
    names: Sequence[str],
    results: BootstrapResults,
    confidence: float = 0.95,
) -> None:
    """Draw how much each method is above the first one, a row for each figure.

    Points are the differences on the test set, lines their intervals; a figure that
    is not defined has an empty row.

    Args:
        path: File to write (PNG).
        names: Of the methods, M >= 2, the first one is what they are compared to.
        results: Figures of the methods.
        confidence: Of the intervals, in (0, 1). Default: 0.95.
    """
    others = len(names) - 1
    ends = results.difference_intervals(confidence)
    row = np.arange(len(results.figures))
    figure = Figure(figsize=(7.0, 1.4 + len(row) * max(0.45, 0.26 * others)))
    axes = figure.subplots()
    axes.axvline(0, color=GREY, lw=1)
    for m, name in enumerate(names[1:], 1):
        at = row + _SPREAD * ((m - 0.5) / others - 0.5)
        change = results.differences[m]
        known = np.isfinite(change) & np.isfinite(ends[m]).all(1)
        colour = f"C{m - 1}"
        axes.hlines(at[known], *ends[m][known].T, color=colour, lw=1.8)
        axes.plot(
            change[known], at[known], "o", ms=5, color=colour, label=label_of(name)
        )
    axes.set_yticks(row, results.figures)
    axes.set_ylim(len(row) - 0.4, -0.6)
    axes.set_xlabel(
        f"difference to {label_of(names[0])}, with {confidence:.0%} interval"
    )
    grid_lines(axes, "x")
    save_figure(figure, path, axes.get_legend_handles_labels()[0])
