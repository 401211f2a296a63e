"""Image sizes and boxes as training sees them, without reading a pixel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from imb_det.statistics.dataset_access import image_of_index, leaf_datasets

from .blank_images import run_blank_images
from .boxes import TrainingBoxes, annotated_boxes
from .resizing import is_arithmetic, resized

__all__ = ["epoch_weights", "training_boxes"]


def training_boxes(
    dataset: Any,
    annotated: TrainingBoxes | None = None,
    advance: Callable[[], None] = lambda: None,
    most: int | None = None,
) -> TrainingBoxes:
    """Return sizes and boxes after the data set's transforms.

    Resizing, to a fixed scale or to one drawn from a list, is done by arithmetic on
    whole arrays. Other random sizes, crops and multi-image transforms run on blank
    images of the annotated size, with a fixed seed.

    Args:
        dataset: Built mmengine data set with an mmdet training pipeline.
        annotated: :func:`annotated_boxes` of the data set, if already at hand.
        advance: Called after each image of the slow way.
        most: Images of the slow way, drawn at random. Default: None, for 5,000.

    Raises:
        ValueError: The slow way is needed and the pipeline loads no image.
    """
    if not is_arithmetic(dataset):
        return run_blank_images(dataset, advance, most)
    table = annotated_boxes(dataset) if annotated is None else annotated
    tables, start = [], 0
    for leaf in leaf_datasets(dataset):
        part = table.select(np.arange(start, start + len(leaf)))
        tables.append(resized(part, leaf.pipeline.transforms))
        start += len(leaf)
    return TrainingBoxes.joined(tables)


def epoch_weights(dataset: Any) -> np.ndarray:
    """Return how often each image of :func:`annotated_boxes` occurs in an epoch.

    ``ClassBalancedDataset`` and ``RepeatDataset`` repeat images; a factor common to all
    is taken out.

    Args:
        dataset: Built mmengine data set, wrapped in any way.

    Returns:
        Whole numbers, int64, (n,).
    """
    num_images = sum(map(len, leaf_datasets(dataset)))
    weights = np.bincount(image_of_index(dataset), minlength=num_images)
    return weights // max(int(np.gcd.reduce(weights)), 1)
