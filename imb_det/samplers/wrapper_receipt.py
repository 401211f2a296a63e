"""What data sets that repeat images do to their classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from imb_det.statistics import ClassStats
from imb_det.statistics.dataset_access import (
    dataset_nodes,
    image_of_index,
    name_of_image,
)
from imb_det.statistics.label_cache import label_table

from .receipt import SamplingReceipt, make_receipt

__all__ = ["wrapper_receipt"]


def wrapper_receipt(dataset: Any, stats: ClassStats) -> SamplingReceipt | None:
    """Return what a wrapper that repeats images, such as mmengine's RFS, does.

    Args:
        dataset: Of the training, built, in any wrappers.
        stats: Its counts.

    Returns:
        Of ``ClassBalancedDataset`` and wrappers of its form; None without any, or where
        it is not known which images the wrappers around it show.
    """
    repeating = [n for n in dataset_nodes(dataset) if hasattr(n, "repeat_indices")]
    if not repeating:
        return None
    try:
        shown = image_of_index(dataset)
    except TypeError:  # a wrapper around it that is not known
        return None
    table = label_table(dataset)
    threshold = getattr(repeating[0], "oversample_thr", None)
    told = "repeat_indices" if threshold is None else f"oversample_thr {threshold:g}"
    return make_receipt(
        rule=f"{type(repeating[0]).__name__}: {told}",
        table=table,
        stats=stats,
        image=np.arange(len(table)),
        copies=np.bincount(shown, minlength=len(table)).astype(float),
        length=len(shown),
        name_of=lambda image: name_of_image(dataset, image),
    )
