"""The look of all pictures; no window, no global state of matplotlib."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from mmengine.logging import print_log

from imb_det.core.shown_text import shown

__all__ = [
    "GREY",
    "GROUP_COLOURS",
    "INK",
    "class_bars",
    "colour_patch",
    "grid_lines",
    "label_of",
    "save_figure",
]

#: What stands out, such as a mean of all.
INK = "#202020"
#: What stands back, and classes of no group.
GREY = "#8c8c8c"
#: Classes by their frequency group.
GROUP_COLOURS = {"rare": "#c44e52", "common": "#dd8452", "frequent": "#4c72b0"}

_DPI = 120
_ALPHA = 0.8
_MOST_NAMES = 100  # classes that are named below their bars
_MOST_BARS = 2500  # pixels of the widest picture
_NO_GLYPH = re.compile(r"Glyph \d+ .*missing from")
_LEGEND_ROW, _LEGEND_EDGE = 0.21, 0.06  # inches
_LETTER = 0.065  # inches of a letter of a class name


def class_bars(
    heights: np.ndarray,
    classes: Sequence[str],
    groups: Mapping[str, np.ndarray],
    order: np.ndarray,
    sorted_by: str,
) -> tuple[Figure, Any]:
    """Start a picture with a bar for each class, in the colour of its group.

    Args:
        heights: Of the classes, (C,).
        classes: Names, length C.
        groups: Class indices by the name of the group.
        order: Classes from left to right, (C,).
        sorted_by: What comes first, for a picture of too many classes to name.

    Returns:
        The figure and its axes.
    """
    number = len(order)
    colours = np.full(number, GREY, dtype=object)
    for name, members in groups.items():
        colours[members] = GROUP_COLOURS.get(name, GREY)
    figure = Figure(figsize=(min(max(7.0, 0.24 * number + 2), 22), 5.0))
    axes = figure.subplots()
    position, colour = np.arange(number), list(colours[order])
    if number <= _MOST_BARS:
        axes.bar(position, heights[order], color=colour, width=0.85, alpha=_ALPHA)
    else:  # bars of less than a pixel, of which each would take a millisecond
        foot = heights[heights > 0].min(initial=1) / 10  # a log axis has no zero
        axes.vlines(position, foot, heights[order], colour, lw=0.5, alpha=_ALPHA)
    axes.set_xlim(-0.7, number - 0.3)
    if number <= _MOST_NAMES:
        names = [label_of(classes[i]) for i in order]
        longest = max(map(len, names))
        is_long = longest * number > 90
        axes.set_xticks(position, names, rotation=90 if is_long else 0, fontsize=8)
        if is_long:  # names take their room below, not that of the bars
            figure.set_figheight(5.0 + _LETTER * max(longest - 12, 0))
    else:
        axes.set_xlabel(f"{number} classes, most {sorted_by} first")
    return figure, axes


def label_of(name: str, most: int = 40) -> str:
    """Write a name of anybody's into a picture: every text there goes through this.

    Args:
        name: Any string: matplotlib would take ``$`` for mathematics, keep what begins
            with ``_`` out of legends, and fail at halves of characters.
        most: Characters that are shown. Default: 40.
    """
    text = shown(name, most).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def colour_patch(colour: str, label: str) -> Patch:
    """Return the entry of a legend for an area."""
    return Patch(color=colour, alpha=_ALPHA, label=label)


def grid_lines(axes: Any, axis: str = "both") -> None:
    """Draw the lines of a grid, faint."""
    axes.grid(axis=axis, alpha=0.3)


def _add_legend(figure: Figure, handles: list[Artist], columns: int) -> int:
    """Put the legend on top, in fewer columns where it is too wide; return its rows."""
    canvas: Any = FigureCanvasAgg(figure)
    renderer = canvas.get_renderer()
    for number in range(columns, 0, -1):
        legend = figure.legend(
            handles=handles, loc="upper center", ncols=number, frameon=False
        )
        if number == 1 or legend.get_window_extent(renderer).width <= figure.bbox.width:
            break
        legend.remove()
    return -(-len(handles) // number)


def save_figure(
    figure: Figure,
    path: str | Path,
    legend: Iterable[Artist] = (),
    columns: int = 3,
) -> None:
    """Write a picture, with its legend above everything else.

    Args:
        figure: What is drawn.
        path: File to write (PNG); its folder is made.
        legend: Entries. Default: none, and no legend.
        columns: Most columns of the legend, >= 1. Default: 3.
    """
    handles, top = list(legend), 1.0
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if handles:
            rows = _add_legend(figure, handles, min(len(handles), columns))
            top -= (rows * _LEGEND_ROW + _LEGEND_EDGE) / figure.get_figheight()
        figure.tight_layout(rect=(0, 0, 1, top))
        figure.savefig(path, dpi=_DPI)
    glyphs = {str(w.message) for w in caught if _NO_GLYPH.match(str(w.message))}
    if glyphs:
        print_log(
            f"{path}: the font has no letters for {len(glyphs)} of the characters in "
            "names, and shows boxes; set `font.family` in your matplotlibrc",
            logger="current",
        )
    for other in caught:
        if str(other.message) not in glyphs:
            warnings.warn_explicit(
                other.message, other.category, other.filename, other.lineno
            )
