"""Fractal dimensions of the places of a training set's objects."""

from __future__ import annotations

from typing import Any

import numpy as np

from imb_det.statistics.dataset_access import class_names, iter_data_infos

from .fracal import fractal_dimension

__all__ = ["fractal_dimensions"]


def fractal_dimensions(dataset: Any) -> list[float]:
    """Return the box-counting dimension of each class, see :func:`fractal_dimension`.

    Args:
        dataset: Data set of mmdet, or wrappers around some; boxes to ignore do not
            count, repeated images count once.

    Returns:
        C numbers >= 1.
    """
    centres: list[list[tuple[float, float]]] = [[] for _ in class_names(dataset)]
    for info in iter_data_infos(dataset):
        width, height = info["width"], info["height"]
        for instance in info["instances"]:
            if not instance.get("ignore_flag"):
                left, top, right, bottom = np.asarray(instance["bbox"])[:4]
                place = (left + right) / 2 / width, (top + bottom) / 2 / height
                centres[instance["bbox_label"]].append(place)
    return [
        fractal_dimension(np.clip(np.array(own).reshape(-1, 2), 0, 1))
        for own in centres
    ]
