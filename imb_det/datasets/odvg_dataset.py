"""Data sets of grounding detectors with the names of their classes."""

from __future__ import annotations

from typing import Any

import mmdet.datasets

from imb_det.core.text import and_more
from imb_det.registry import DATASETS

__all__ = ["ODVGDataset"]


@DATASETS.register_module()
class ODVGDataset(mmdet.datasets.ODVGDataset):
    """mmdet's ``ODVGDataset`` for detection, whose classes are those of its label map.

    mmdet's knows labels, and texts of images, but no list of classes: nothing could be
    counted, and no sampler could draw by it.

    Args:
        *args: As mmdet's ``ODVGDataset``.
        label_map_file: JSON file with the name of each label, ``{"0": ..., "1": ...}``,
            below ``data_root``.
        **kwargs: As mmdet's; ``metainfo`` may have other names in ``classes``.

    Raises:
        ValueError: Without a label map, as for grounding; or labels that are not in it,
            or another number of classes in ``metainfo``.

    Example:
        >>> dataset = dict(
        ...     type="imb_det.ODVGDataset",
        ...     ann_file="annotations/lvis_v1_train_od.json",
        ...     label_map_file="annotations/lvis_v1_label_map.json",
        ... )
    """

    def __init__(
        self, *args: Any, label_map_file: str | None = None, **kwargs: Any
    ) -> None:
        if not label_map_file:
            raise ValueError(
                f"{type(self).__name__}: `label_map_file` must name the file with the "
                "classes; phrases of a grounding set (mmdet's ODVGDataset) are none"
            )
        super().__init__(*args, label_map_file=label_map_file, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the annotations, and the classes from the label map."""
        labels = sorted(map(int, self.label_map))
        if labels != list(range(len(labels))):
            raise ValueError(
                f"{type(self).__name__}: `label_map_file` must have the labels 0 to "
                f"{len(labels) - 1}, it has {and_more(labels, 10)}"
            )
        names = tuple(self.label_map[str(label)] for label in labels)
        given = tuple(self._metainfo.setdefault("classes", names))
        if len(given) != len(names):
            raise ValueError(
                f"{type(self).__name__}: `metainfo` has {len(given)} classes, and "
                f"`label_map_file` {len(names)}: {and_more(names, 10)}"
            )
        found: list[dict] = super().load_data_list()
        used = {each["bbox_label"] for info in found for each in info["instances"]}
        if not used <= set(labels):
            raise ValueError(
                f"{self.ann_file}: labels {and_more(sorted(used - set(labels)), 10)} "
                "are not in the label map"
            )
        return found
