"""The picture of a sampling receipt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.lines import Line2D

from imb_det.figure_style import (
    GROUP_COLOURS,
    INK,
    class_bars,
    colour_patch,
    label_of,
    save_figure,
)

from .receipt import SamplingReceipt

__all__ = ["plot_receipt"]


def plot_receipt(path: str | Path, receipt: SamplingReceipt) -> None:
    """Draw the boxes of each class in an epoch, with the sampler and without.

    Args:
        path: File to write (PNG); its folder is made.
        receipt: What the sampler does.
    """
    before, after = receipt.instances_before, receipt.instances_after
    order = np.argsort(-before, kind="stable")
    figure, axes = class_bars(after, receipt.classes, receipt.groups, order, "boxes")
    step = np.repeat(np.arange(len(order) + 1) - 0.5, 2)[1:-1]
    axes.plot(step, np.repeat(before[order], 2), color=INK, lw=1.2)
    if (before[order] > 0).any():
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.6 * min(before[before > 0].min(), 1))
    axes.set_ylabel("boxes in an epoch (log scale)")
    handles: list[Artist] = []
    for name, members in reversed(receipt.groups.items()):
        text = f"{name}: {before[members].sum()} to {after[members].sum():.0f} boxes"
        handles.append(colour_patch(GROUP_COLOURS[name], text))
    handles.append(Line2D([], [], color=INK, lw=1.2, label="without the sampler"))
    axes.set_title(
        f"{label_of(receipt.rule, 120)}\nepoch of {receipt.length_after} images in "
        f"place of {receipt.length_before} ({receipt.length_factor:.2f} x)",
        fontsize=9,
    )
    save_figure(figure, path, handles, columns=4)
