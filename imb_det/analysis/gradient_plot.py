"""The picture of gradient sizes that ``GradientHook`` logged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from imb_det.core.shown_text import shown
from imb_det.figure_style import INK, grid_lines, label_of, save_figure

from .run_log import RunLog

__all__ = ["gradient_table", "gradient_text", "plot_gradients"]

_PREFIX = "/grad_norm_"
#: What is logged for each head.
_SIZES = ("fg", "bg", "box", "ratio")
#: Rows of the picture: sizes in each, with the style of the line, and its title.
_ROWS: tuple[tuple[dict[str, str], str], ...] = (
    ({"fg": "-", "bg": "--"}, "size of the classification gradient"),
    ({"ratio": "-"}, "classification over box gradient"),
)


def _heads(runs: Mapping[str, RunLog]) -> list[str]:
    """Return the heads of all runs, in the order in which they were logged."""
    names = [name for run in runs.values() for name in run.train if _PREFIX in name]
    if not names:
        raise ValueError(
            f"no gradient was logged in {', '.join(runs)}; add "
            "`dict(type='imb_det.GradientHook')` to `custom_hooks` and train"
        )
    return list(dict.fromkeys(name.partition(_PREFIX)[0] for name in names))


def gradient_table(runs: Mapping[str, RunLog]) -> list[dict[str, Any]]:
    """Return the mean sizes over the last half of each run.

    Args:
        runs: Logs by the name of the run.

    Returns:
        A row for each run and head: ``run``, ``head``, and the sizes that were logged,
        ``fg``, ``bg``, ``box`` and ``ratio``, as means over the points of the second
        half of the training.

    Raises:
        ValueError: No run has logged any.
    """
    rows = []
    for head in _heads(runs):
        for run, log in runs.items():
            row: dict[str, Any] = {"run": run, "head": head}
            for size in _SIZES:
                if (name := f"{head}{_PREFIX}{size}") in log.train:
                    steps, values = log.train[name]
                    row[size] = float(values[steps > steps[-1] / 2].mean())
            if len(row) > 2:
                rows.append(row)
    return rows


def gradient_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Lay out the mean sizes of :func:`gradient_table` in columns.

    Args:
        rows: At least one.
    """
    rows = [
        {**row, **{key: shown(row[key]) for key in ("run", "head")}} for row in rows
    ]
    run, head = (max(len(row[key]) for row in rows) for key in ("run", "head"))
    lines = [f"{'run':<{run}}  {'head':<{head}}" + "".join(f"{s:>10}" for s in _SIZES)]
    for row in rows:
        values = [f"{row[s]:.4g}" if s in row else "-" for s in _SIZES]
        cells = "".join(f"{value:>10}" for value in values)
        lines.append(f"{row['run']:<{run}}  {row['head']:<{head}}{cells}")
    return "\n".join(lines)


def plot_gradients(path: str | Path, runs: Mapping[str, RunLog]) -> None:
    """Draw the gradients of all heads of some runs, a colour for each run.

    Above are the sizes of the classification gradient, of foreground (solid) and
    background (dashed); below its sum over that of the boxes.

    Args:
        path: File to write (PNG).
        runs: Logs by the name of the run.

    Raises:
        ValueError: No run has logged any.
    """
    heads = _heads(runs)
    figure = Figure(figsize=(1.2 + 4.6 * len(heads), 6.4))
    grid = figure.subplots(len(_ROWS), len(heads), squeeze=False, sharex="col")
    for column, head in enumerate(heads):
        for (styles, title), axes in zip(_ROWS, grid[:, column], strict=True):
            has_curve = False
            for index, log in enumerate(runs.values()):
                for size, style in styles.items():
                    steps, values = log.train.get(
                        f"{head}{_PREFIX}{size}", (np.empty(0), np.empty(0))
                    )
                    drawn = values > 0
                    axes.plot(steps[drawn], values[drawn], style, color=f"C{index}")
                    has_curve |= bool(drawn.any())
            if has_curve:
                axes.set_yscale("log")
                low, high = axes.get_ylim()
                steps_of_decade = (1.0, 2.0, 5.0) if high < 100 * low else (1.0,)
                axes.yaxis.set_major_locator(LogLocator(subs=steps_of_decade))
                axes.yaxis.set_major_formatter("{x:g}")
                axes.yaxis.set_minor_formatter(NullFormatter())
            grid_lines(axes)
            if column == 0:
                axes.set_ylabel(title)
        grid[0, column].set_title(label_of(head))
        grid[-1, column].set_xlabel("iteration")
    handles = [
        *(
            Line2D([], [], color=f"C{i}", label=label_of(run))
            for i, run in enumerate(runs)
        ),
        Line2D([], [], color=INK, ls="-", label="foreground"),
        Line2D([], [], color=INK, ls="--", label="background"),
    ]
    save_figure(figure, path, handles)
