"""Image sizes and boxes of many images as flat arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imb_det.statistics.dataset_access import leaf_datasets
from imb_det.statistics.loaded_masks import loaded_infos

__all__ = ["TrainingBoxes", "annotated_boxes"]


@dataclass(frozen=True)
class TrainingBoxes:
    """Boxes of many images as flat arrays.

    Args:
        img_shape: Height and width of each image, int64, (n, 2).
        boxes: Corners x1, y1, x2, y2 in pixels, float32, (m, 4).
        labels: Class index of each box, int64, (m,).
        ignored: Crowd, difficult or otherwise ignored boxes, bool, (m,).
        image: Image that each box belongs to, int64, (m,), not decreasing.
    """

    img_shape: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    ignored: np.ndarray
    image: np.ndarray

    @classmethod
    def from_rows(cls, rows: Iterable[tuple]) -> TrainingBoxes:
        """Collect rows (img_shape, boxes, labels, ignored), one an image."""
        shapes, boxes, labels, ignored, counts = [], [], [], [], []
        for shape, box_rows, label_rows, ignored_rows in rows:
            shapes.append(shape)
            boxes.extend(box_rows)
            labels.extend(label_rows)
            ignored.extend(ignored_rows)
            counts.append(len(box_rows))
        return cls(
            np.array(shapes, np.int64).reshape(-1, 2),
            np.array(boxes, np.float32).reshape(-1, 4),
            np.array(labels, np.int64),
            np.array(ignored, bool),
            np.repeat(np.arange(len(counts)), counts),
        )

    @classmethod
    def joined(cls, tables: Sequence[TrainingBoxes]) -> TrainingBoxes:
        """Return the images of all tables, one after the other."""
        first = np.cumsum([0, *map(len, tables)])
        return cls(
            np.concatenate([table.img_shape for table in tables]),
            np.concatenate([table.boxes for table in tables]),
            np.concatenate([table.labels for table in tables]),
            np.concatenate([table.ignored for table in tables]),
            np.concatenate([table.image + first[i] for i, table in enumerate(tables)]),
        )

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.img_shape)

    def select(self, images: np.ndarray) -> TrainingBoxes:
        """Return the given images, in the given order, with their boxes."""
        first = np.searchsorted(self.image, images, "left")
        count = np.searchsorted(self.image, images, "right") - first
        owner = np.repeat(np.arange(len(images)), count)
        rows = first[owner] + np.arange(len(owner)) - (np.cumsum(count) - count)[owner]
        return TrainingBoxes(
            self.img_shape[images],
            self.boxes[rows],
            self.labels[rows],
            self.ignored[rows],
            owner,
        )


def annotated_boxes(dataset: Any) -> TrainingBoxes:
    """Return sizes and boxes as annotated and shown to the training, not transformed.

    Args:
        dataset: Built mmengine data set; wrappers are looked through.
    """

    def rows() -> Iterator[tuple]:
        infos = (info for x in leaf_datasets(dataset) for info in loaded_infos(x))
        for info in infos:
            instances = info["instances"]
            yield (
                (info["height"], info["width"]),
                [instance["bbox"] for instance in instances],
                [instance["bbox_label"] for instance in instances],
                [instance.get("ignore_flag", 0) for instance in instances],
            )

    return TrainingBoxes.from_rows(rows())
