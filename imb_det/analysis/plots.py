"""All pictures of the report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from imb_det.figure_style import (
    GREY,
    GROUP_COLOURS,
    INK,
    class_bars,
    colour_patch,
    grid_lines,
    label_of,
    save_figure,
)

from .examples import Example
from .run_log import RunLog

__all__ = ["plot_classes", "plot_curves", "plot_examples"]

_FOUND, _MISSED, _WRONG = "#2ca02c", "#ff7f0e", "#e31a1c"
#: Metrics in the picture of the curves: AP, and that of the groups.
_CURVE_STYLES: dict[str, dict[str, Any]] = {
    "mAP": {"color": INK, "lw": 1.8},
    "mAP_50": {"color": GREY},
    "AP50": {"color": GREY},
    "segm_mAP": {"color": INK, "ls": ":"},
    **{f"AP{name[0]}": {"color": c} for name, c in GROUP_COLOURS.items()},
}


def plot_classes(
    path: str | Path,
    classes: Sequence[str],
    image_count: np.ndarray,
    ap: np.ndarray,
    groups: Mapping[str, np.ndarray],
) -> None:
    """Draw training images of each class as bars, and its AP as a point.

    Args:
        path: File to write (PNG).
        classes: Names, length C.
        image_count: Training images of each class, (C,).
        ap: AP of each class, (C,), NaN where there is no object to find.
        groups: Class indices by the name of the group.
    """
    order = np.argsort(-image_count, kind="stable")
    # A class without images gets a stub, because a log axis has no zero.
    heights = np.maximum(image_count, 0.7)
    figure, axes = class_bars(heights, classes, groups, order, "training images")
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.6)
    axes.set_ylabel("training images (log scale)")
    points = axes.twinx()
    style: dict[str, Any] = {"color": INK, "clip_on": False, "zorder": 3}
    points.plot(np.arange(len(order)), ap[order], "o", markersize=4, **style)
    handles: list[Artist] = []
    for name, members in groups.items():
        text = f"{name}: {len(members)} {'class' if len(members) == 1 else 'classes'}"
        if np.isfinite(ap[members]).any():
            mean = float(np.nanmean(ap[members]))
            text += f", AP{name[0]} {mean:.3f}"
            span = np.flatnonzero(np.isin(order, members))
            ends = span.min() - 0.45, span.max() + 0.45
            points.hlines(mean, *ends, lw=1.2, ls="--", **style)
        colour = GROUP_COLOURS.get(name, GREY)
        handles.insert(0, colour_patch(colour, text))  # frequent classes stand left
    points.set_ylim(0, 1)
    points.set_ylabel("AP of the class (points) and group (dashed)")
    save_figure(figure, path, handles)


def plot_curves(path: str | Path, log: RunLog) -> None:
    """Draw losses, ratios where some were logged, and the metrics over iterations.

    Args:
        path: File to write (PNG).
        log: Curves of the run.
    """
    losses = {k: v for k, v in log.train.items() if "loss" in k}
    ratios = {
        k: v for k, v in log.train.items() if "ratio" in k and "grad_norm" not in k
    }
    metrics = {
        name.rsplit("/", 1)[-1].removeprefix("bbox_"): v for name, v in log.val.items()
    }
    metrics = {k: metrics[k] for k in _CURVE_STYLES if k in metrics}
    panels = [("loss", losses), ("ratio", ratios), ("AP", metrics)]
    panels = [panel for panel in panels if panel[1]]
    figure = Figure(figsize=(9, 2.5 * max(len(panels), 1) + 0.5))
    rows = figure.subplots(max(len(panels), 1), 1, sharex=True, squeeze=False)[:, 0]
    if not panels:
        rows[0].text(0.5, 0.5, "nothing was logged", ha="center", va="center")
    for axes, (label, curves) in zip(rows, panels, strict=False):
        for index, (name, (iterations, values)) in enumerate(curves.items()):
            # Guided scaling makes two losses equal: both must show.
            style = _CURVE_STYLES.get(name, {"ls": ("-", "--", ":")[index % 3]})
            if name == "loss":
                style = {"color": INK, "lw": 1.8}
            elif label == "AP":
                style = {"marker": "o", "markersize": 3.5, **style}
            axes.plot(iterations, values, label=label_of(name), **style)
        axes.set_ylabel(label)
        grid_lines(axes)
        axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
        _set_scale(axes, np.concatenate([values for _, values in curves.values()]))
    rows[-1].set_xlabel("iteration")
    save_figure(figure, path)


def _set_scale(axes: Any, values: np.ndarray) -> None:
    """Start at zero, or take a log scale where a few values dwarf the others."""
    values = values[np.isfinite(values)]
    if values.size and values.min() > 0 and values.max() > 30 * np.median(values):
        axes.set_yscale("log")
    elif values.size and values.min() >= 0:
        axes.set_ylim(bottom=0)


def plot_examples(
    path: str | Path,
    examples: Sequence[Example],
    classes: Sequence[str],
    note: str = "",
) -> None:
    """Draw objects (left) and detections (right) of some images side by side.

    Args:
        path: File to write (PNG).
        examples: Images, with objects and detections matched.
        classes: Names of the labels.
        note: What to add to the title of the detections. Default: nothing.
    """
    pairs = 2 if len(examples) > 1 else 1
    rows = math.ceil(len(examples) / pairs)
    images = [mmcv.imread(e.image, channel_order="rgb") for e in examples]
    names = [label_of(name) for name in classes]
    tallest = max(image.shape[0] / image.shape[1] for image in images)
    height = rows * (3.1 * min(tallest, 2.0) + 0.3) + 0.4
    figure = Figure(figsize=(6.4 * pairs, height))
    grid = figure.subplots(rows, 2 * pairs, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for index, (example, image) in enumerate(zip(examples, images, strict=True)):
        left = 2 * (index % pairs)
        truth, found = grid[index // pairs, left : left + 2]
        for axes in (truth, found):
            axes.imshow(image)
        truth.set_title(f"ground truth · {label_of(example.image.name)}", fontsize=8)
        found.set_title(f"detections{note}", fontsize=8)
        for box, label, is_found in zip(
            example.objects, example.object_labels, example.is_found, strict=True
        ):
            _draw(truth, box, names[label], _FOUND if is_found else _MISSED)
        # The best detection is drawn last, on top.
        for i in range(len(example.boxes))[::-1]:
            text = f"{names[example.labels[i]]} {example.scores[i]:.2f}"
            colour = _FOUND if example.is_right[i] else _WRONG
            _draw(found, example.boxes[i], text, colour)
    handles = [
        colour_patch(_FOUND, "found"),
        colour_patch(_MISSED, "missed"),
        colour_patch(_WRONG, "wrong detection"),
    ]
    save_figure(figure, path, handles)


def _draw(axes: Any, box: np.ndarray, text: str, colour: str) -> None:
    x1, y1, x2, y2 = box
    axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, ec=colour, lw=1.4))
    # Near the border the text moves inside; a letter is about 0.017 wide.
    width, height = axes.get_xlim()[1], axes.get_ylim()[0]
    is_right, is_top = x1 + 0.017 * len(text) * width > width, y1 < 0.05 * height
    axes.text(
        x2 if is_right else x1,
        y2 if is_top else y1,
        text,
        fontsize=6.5,
        color="white",
        ha="right" if is_right else "left",
        va="top" if is_top else "bottom",
        clip_on=True,
        bbox={"facecolor": colour, "alpha": 0.8, "lw": 0, "pad": 0.8},
    )
