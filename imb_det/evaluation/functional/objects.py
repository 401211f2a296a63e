"""The objects of a data set as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .ground_truth import GroundTruth, is_ignored

__all__ = ["AREAS", "Objects", "ends_of_areas", "objects_of"]

#: COCO's ranges of areas, in the order of all arrays: least and largest area.
AREAS = {
    "all": (0, 1e10),
    "small": (0, 32**2),
    "medium": (32**2, 96**2),
    "large": (96**2, 1e10),
}


def ends_of_areas(sizes: bool) -> np.ndarray:
    """Return least and largest area of each range, float64 (A, 2).

    Args:
        sizes: Whether small, medium and large are wanted beside all.
    """
    return np.asarray(list(AREAS.values()), float)[: None if sizes else 1]


@dataclass(frozen=True, eq=False)
class Objects:
    """Objects and crowds of all images, in the order of the annotations.

    Args:
        image: Row of the image of each, int64 (G,).
        label: Its class index, int64 (G,).
        area: Its area, float64 (G,).
        crowd: Whether any number of detections may choose it, bool (G,).
        ignored: Whether it is nothing to find, as crowds are, bool (G,).
    """

    image: np.ndarray
    label: np.ndarray
    area: np.ndarray
    crowd: np.ndarray
    ignored: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    def ignored_in(self, ends: np.ndarray) -> np.ndarray:
        """Tell what is nothing to find in ranges of areas, bool (A, G).

        Args:
            ends: Least and largest area of each range, (A, 2).
        """
        outside = (self.area < ends[:, :1]) | (self.area > ends[:, 1:])
        return np.asarray(outside | self.ignored)


def objects_of(ground_truth: GroundTruth) -> Objects:
    """Read the annotations of a data set into arrays."""
    annotations = ground_truth.annotations
    return Objects(
        np.asarray([a["image_id"] for a in annotations], np.int64),
        np.asarray([a["category_id"] for a in annotations], np.int64),
        np.asarray([a["area"] for a in annotations], float),
        np.asarray([a["iscrowd"] for a in annotations], bool),
        np.asarray([is_ignored(a) for a in annotations], bool),
    )
