"""Maps that give every pixel a class, as semantic segmentation has them."""

from __future__ import annotations

import copy
import io
import logging
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from mmengine.fileio import get
from PIL import Image
from tqdm import tqdm

from .dataset_access import steps_of

__all__ = ["ClassMaps", "is_class_map", "map_step", "read_map", "with_bar"]

_BAR_FROM = 500  # maps; fewer are read in a few seconds
_OBJECTS = ("with_bbox", "with_label", "with_mask", "with_keypoints")

_logger = logging.getLogger(__name__)


def is_class_map(info: dict[str, Any]) -> bool:
    """Tell whether a record has a map of classes, and nothing else to count."""
    return "instances" not in info and bool(info.get("seg_map_path"))


def map_step(leaf: Any) -> Any:
    """Return the step of a pipeline that loads maps of classes; None without one.

    Args:
        leaf: Built data set, no wrapper; ``LoadAnnotations(with_seg=True)`` is one.
    """
    for step in steps_of(getattr(leaf, "pipeline", None)):
        is_empty = type(step).__name__ == "LoadEmptyAnnotations"
        loads = getattr(step, "with_seg", False) and hasattr(step, "transform")
        if loads and not is_empty:
            return step
    return None


class ClassMaps:
    """Reads the maps of a data set as the training sees them, for counts.

    The data set's own step decodes them, so that ``reduce_zero_label`` and a label map
    are in effect. Without one in the pipeline, the files are read as they are.

    Args:
        leaf: Built data set whose records have ``seg_map_path``, no wrapper.
    """

    def __init__(self, leaf: Any) -> None:
        self.num_classes = len(leaf.metainfo["classes"])
        self.backend_args = getattr(leaf, "backend_args", None)
        step = map_step(leaf)
        if step is not None:
            step = copy.copy(step)
            for name in _OBJECTS:
                if hasattr(step, name):
                    setattr(step, name, False)
        self.step = step
        self.ignored = getattr(step, "ignore_index", 255)
        self._has_told = False

    def counted(self, info: dict[str, Any]) -> dict[str, Any]:
        """Return a record with one object, and the pixels, of each class of its map."""
        pixels = self.pixels(info)
        return {**info, "instances": objects_of(pixels), "pixels": pixels}

    def pixels(self, info: dict[str, Any]) -> dict[int, int]:
        """Return the pixels of each class in the map of a record.

        Labels that are no class do not count. Those other than the one to ignore are
        told of once.
        """
        labels = np.asarray(self._map(info))
        if labels.ndim != 2:
            raise ValueError(
                f"{info['seg_map_path']} must have one number a pixel, got the shape "
                f"{labels.shape}"
            )
        found, counts = np.unique(labels, return_counts=True)
        is_void = found == self.ignored
        is_class = (found >= 0) & (found < self.num_classes) & ~is_void
        odd = found[~is_class & ~is_void]
        if odd.size and not self._has_told:
            self._has_told = True
            _logger.warning(
                "%s has the labels %s, which are none of the %d classes; they are not "
                "counted. Compare `metainfo['classes']` and `reduce_zero_label` of "
                "`LoadAnnotations`",
                info["seg_map_path"],
                odd[:10].tolist(),
                self.num_classes,
            )
        found, counts = found[is_class].tolist(), counts[is_class].tolist()
        return dict(zip(found, counts, strict=True))

    def _map(self, info: dict[str, Any]) -> Any:
        if self.step is not None:
            return self.step.transform(dict(info))["gt_seg_map"]
        labels = read_map(info["seg_map_path"], self.backend_args)
        found = labels.copy()
        for old, new in (info.get("label_map") or {}).items():
            found[labels == old] = new
        return found


def objects_of(labels: Iterable[int]) -> list[dict[str, Any]]:
    """Return one object to count of each label, in the form of a data set's boxes."""
    return [
        {"bbox": (0, 0, 1, 1), "bbox_label": label, "ignore_flag": 0}
        for label in labels
    ]


def read_map(path: str, backend_args: Any = None) -> np.ndarray:
    """Return the numbers in an image file, (h, w) or (h, w, channels).

    Raises:
        FileNotFoundError: There is no such file.
    """
    with Image.open(io.BytesIO(get(path, backend_args=backend_args))) as image:
        return np.array(image)


def with_bar(infos: Iterable[Any], number: int) -> Iterator[Any]:
    """Yield what takes long to read, with a progress bar where there is much of it.

    Args:
        infos: Records.
        number: How many there are.
    """
    is_short = number < _BAR_FROM
    yield from tqdm(infos, "Counting pixels", number, disable=is_short or None)
