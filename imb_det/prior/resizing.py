"""Sizes and boxes after resizing, by arithmetic on whole arrays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from imb_det.statistics.dataset_access import leaf_datasets

from .boxes import TrainingBoxes

__all__ = ["has_random_sizes", "is_arithmetic", "resized"]

# Transforms that leave sizes and boxes as they are. The unflipped image stands for the
# flipped one too, which has nearly the same count: only padding and the anchors' start
# at the corner are not symmetric.
_KEEP_GEOMETRY = frozenset(
    {
        "LoadImageFromFile",
        "LoadAnnotations",
        "PackDetInputs",
        "PhotoMetricDistortion",
        "RandomFlip",
        "YOLOXHSVRandomAug",
    }
)
_RESIZES = frozenset({"Resize", "RandomChoiceResize"})
_ONE_TO_ONE_WRAPPERS = frozenset(
    {"ConcatDataset", "RepeatDataset", "ClassBalancedDataset"}
)


def is_arithmetic(dataset: Any) -> bool:
    """Tell whether sizes and boxes follow from the annotations by arithmetic."""

    def wrappers_are_plain(node: Any) -> bool:
        children = getattr(node, "datasets", None) or [getattr(node, "dataset", None)]
        if children == [None]:
            return True
        return type(node).__name__ in _ONE_TO_ONE_WRAPPERS and all(
            wrappers_are_plain(child) for child in children
        )

    return wrappers_are_plain(dataset) and all(
        type(transform).__name__ in _KEEP_GEOMETRY | _RESIZES
        and type(getattr(transform, "resize", None)).__name__ in ("NoneType", "Resize")
        # A single number would be a factor.
        and all(isinstance(s, tuple) for s in getattr(transform, "scales", ()))
        for leaf in leaf_datasets(dataset)
        for transform in leaf.pipeline.transforms
    )


def has_random_sizes(dataset: Any) -> bool:
    """Tell whether images are resized to scales that are drawn from a list."""
    return any(
        type(transform).__name__ == "RandomChoiceResize"
        for leaf in leaf_datasets(dataset)
        for transform in leaf.pipeline.transforms
    )


def resized(table: TrainingBoxes, transforms: Iterable[Any]) -> TrainingBoxes:
    """Return sizes and boxes after those of some transforms that resize.

    Args:
        table: Boxes of the images of one data set.
        transforms: Of its pipeline; those that do not resize are passed over.
    """
    for transform in transforms:
        if type(transform).__name__ in _RESIZES:
            table = _resize(table, transform)
    return table


def _resize(table: TrainingBoxes, transform: Any) -> TrainingBoxes:
    """Apply mmdet's ``Resize``, rounding where it rounds.

    For ``RandomChoiceResize`` each image gets a scale by a draw with a fixed seed.
    """
    old = table.img_shape[:, ::-1].astype(np.float64)  # width, height
    if type(transform).__name__ == "RandomChoiceResize":
        scales = np.array(transform.scales)
        drawn = np.random.default_rng(0).integers(len(scales), size=len(table))
        scale: Any = scales[drawn]
        transform = transform.resize
    else:
        scale = transform.scale
    if scale is None:
        factor = np.broadcast_to(np.asarray(transform.scale_factor, float), old.shape)
        target = (old * factor + 0.5).astype(np.int64)
    else:
        target = np.broadcast_to(np.asarray(scale, np.int64), old.shape)
    if transform.keep_ratio:
        factor = np.minimum(target.max(1) / old.max(1), target.min(1) / old.min(1))[
            :, None
        ]
        new = (old * factor + 0.5).astype(np.int64)
    else:
        new = target
    boxes = table.boxes * np.tile((new / old).astype(np.float32), 2)[table.image]
    if transform.clip_object_border:
        limit = np.tile(new, 2).astype(np.float32)[table.image]
        boxes = np.clip(boxes, np.float32(0), limit)
    return TrainingBoxes(
        np.ascontiguousarray(new[:, ::-1]),
        boxes,
        table.labels,
        table.ignored,
        table.image,
    )
