"""Numbers of the data that the page draws."""

from __future__ import annotations

from typing import Any

import numpy as np

from imb_det.core.shown_text import shown
from imb_det.statistics.label_cache import label_table

from .context import DoctorContext
from .data_checks.class_tables import objects_of

__all__ = ["class_bars", "class_sizes", "cooccurrence"]

#: Classes that a figure shows; of more, the rarest and the most frequent half.
MOST_BARS = 120
MOST_SIZES = 60
MOST_PAIRS = 30
_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)


def class_bars(context: DoctorContext) -> list[dict[str, Any]]:
    """Return images and objects of each class, most frequent first.

    Each has ``name``, ``group``, ``images``, ``objects``, and ``share``, how long its
    bar is, by the logarithm of the objects, in percent. Objects are boxes, segments
    or pixels, see :func:`~.data_checks.class_tables.objects_of`.
    """
    stats = context.class_stats
    if stats is None:
        return []
    group_of = {
        int(label): name for name, labels in stats.groups().items() for label in labels
    }
    objects, *_ = objects_of(stats)
    most = np.log1p(max(int(objects.max(initial=0)), 1))
    order = _chosen(np.argsort(-objects, kind="stable"), MOST_BARS)
    return [
        {
            "name": shown(stats.classes[label]),
            "group": group_of.get(int(label), ""),
            "images": int(stats.image_count[label]),
            "objects": int(objects[label]),
            "share": float(100 * np.log1p(objects[label]) / most),
        }
        for label in order
    ]


def class_sizes(context: DoctorContext) -> list[dict[str, Any]]:
    """Return how large the boxes of each class are, smallest first.

    Each has ``name``, ``sizes`` and ``places``: the 5, 25, 50, 75 and 95 % points of
    the square root of the area, as annotated, in pixels, and where they lie between
    1 pixel and the largest, by the logarithm, in percent.
    """
    if "train" not in context.boxes or context.class_stats is None:
        return []
    table = context.counted("train")
    sides = table.boxes[:, 2:] - table.boxes[:, :2]
    sizes = np.sqrt(np.maximum(sides.prod(1), 1.0))
    most = np.log(max(float(sizes.max(initial=2)), 2.0))
    found = []
    order = np.argsort(table.labels, kind="stable")
    ends = np.searchsorted(table.labels[order], np.arange(len(context.classes) + 1))
    for label, name in enumerate(context.classes):
        own = sizes[order[ends[label] : ends[label + 1]]]
        if len(own):
            points = np.quantile(own, _SHARES)
            found.append(
                {
                    "name": shown(name),
                    "sizes": points.tolist(),
                    "places": (100 * np.log(points) / most).tolist(),
                }
            )
    found.sort(key=lambda row: row["sizes"][2])
    return [found[i] for i in _chosen(np.arange(len(found)), MOST_SIZES)]


def cooccurrence(context: DoctorContext) -> dict[str, Any]:
    """Return which classes come together.

    ``names``, rarest first, and ``rows``: of the images with the class of a row, the
    share that also has the class of a column, in percent, and None on the diagonal.
    """
    stats = context.class_stats
    if stats is None or "train" not in context.datasets:
        return {"names": [], "rows": []}
    together = label_table(context.datasets["train"]).cooccurrence().tocsr()
    seen = np.flatnonzero(stats.image_count)
    order = seen[np.argsort(stats.image_count[seen], kind="stable")]
    order = _chosen(order, MOST_PAIRS)
    part = together[order][:, order].toarray()
    images = np.maximum(stats.image_count[order], 1)
    rows = []
    for i, row in enumerate(part):
        shares = 100 * row / images[i]
        rows.append([None if i == j else float(v) for j, v in enumerate(shares)])
    return {"names": [shown(stats.classes[label]) for label in order], "rows": rows}


def _chosen(order: np.ndarray, most: int) -> np.ndarray:
    """Return the first and the last of too many."""
    if len(order) <= most:
        return order
    half = most // 2
    return np.concatenate([order[:half], order[len(order) - half :]])
