"""The picture of a sampling receipt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from imb_det.statistics.frequency_groups import GROUP_COLOURS

from .receipt import SamplingReceipt

__all__ = ["plot_receipt"]

_DPI = 120
_MOST_NAMES = 100


def plot_receipt(path: str | Path, receipt: SamplingReceipt) -> None:
    """Draw the boxes of each class in an epoch, with the sampler and without.

    Args:
        path: File to write (PNG); its folder is made.
        receipt: What the sampler does.
    """
    before, after = receipt.instances_before, receipt.instances_after
    order = np.argsort(-before, kind="stable")
    position = np.arange(len(order))
    colour = np.full(len(order), "", dtype=object)
    for name, members in receipt.groups.items():
        colour[members] = GROUP_COLOURS[name]
    figure = Figure(figsize=(min(max(7.0, 0.24 * len(order) + 2), 22), 5.0))
    axes = figure.subplots()
    axes.bar(position, after[order], color=list(colour[order]), width=0.85, alpha=0.8)
    step = np.repeat(np.arange(len(order) + 1) - 0.5, 2)[1:-1]
    axes.plot(step, np.repeat(before[order], 2), color="black", lw=1.2)
    if (before[order] > 0).any():
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.6 * min(before[before > 0].min(), 1))
    axes.set_ylabel("boxes in an epoch (log scale)")
    axes.set_xlim(-0.7, len(order) - 0.3)
    if len(order) <= _MOST_NAMES:
        names = [receipt.classes[i] for i in order]
        axes.set_xticks(position, names, rotation=90, fontsize=8)
    else:
        axes.set_xlabel(f"{len(order)} classes, most boxes first")
    handles = []
    for name, members in reversed(receipt.groups.items()):
        text = f"{name}: {before[members].sum()} to {after[members].sum():.0f} boxes"
        handles.append(Patch(color=GROUP_COLOURS[name], alpha=0.8, label=text))
    handles.append(Patch(fill=False, edgecolor="black", label="without the sampler"))
    axes.set_title(
        f"{receipt.rule}\nepoch of {receipt.length_after} images in place of "
        f"{receipt.length_before} ({receipt.length_factor:.2f} x)",
        fontsize=9,
    )
    axes.legend(handles=handles, loc="upper right", fontsize=8)
    figure.tight_layout()
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=_DPI)
