"""Image sizes and boxes as training sees them, without reading a pixel."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from imb_det.statistics.dataset_access import (
    image_of_index,
    iter_data_infos,
    leaf_datasets,
)

__all__ = [
    "MAX_BLANK_IMAGES",
    "TrainingBoxes",
    "annotated_boxes",
    "epoch_weights",
    "has_random_sizes",
    "is_arithmetic",
    "training_boxes",
]

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
#: Images that go through transforms, where sizes and boxes need that: more than enough
#: for a share of positives to a percent or two, and a matter of minutes at most.
MAX_BLANK_IMAGES = 5000
_ONE_TO_ONE_WRAPPERS = frozenset(
    {"ConcatDataset", "RepeatDataset", "ClassBalancedDataset"}
)


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
    """Return sizes and boxes as annotated, before any transform.

    Args:
        dataset: Built mmengine data set; wrappers are looked through.
    """

    def rows() -> Iterator[tuple]:
        for info in iter_data_infos(dataset):
            instances = info["instances"]
            yield (
                (info["height"], info["width"]),
                [instance["bbox"] for instance in instances],
                [instance["bbox_label"] for instance in instances],
                [instance.get("ignore_flag", 0) for instance in instances],
            )

    return TrainingBoxes.from_rows(rows())


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


class _BlankImage:
    """Stands in for ``LoadImageFromFile``: a black image of the annotated size."""

    def __call__(self, results: dict) -> dict:
        shape = (results["height"], results["width"])
        results["img"] = np.zeros((*shape, 3), np.uint8)
        results["img_shape"] = results["ori_shape"] = shape
        return results


def _blank_run(dataset: Any, advance: Callable[[], None]) -> TrainingBoxes:
    """Send blank images through the data set's own transforms, wrappers included.

    Of a large data set, a random part is sent.
    """
    dataset = copy.deepcopy(dataset)
    order = np.random.default_rng(0).permutation(len(dataset))[:MAX_BLANK_IMAGES]
    for leaf in leaf_datasets(dataset):
        steps = leaf.pipeline.transforms
        loaders = [i for i, t in enumerate(steps) if "LoadImage" in type(t).__name__]
        if not loaders:
            raise ValueError(
                f"the pipeline of {type(leaf).__name__} has no LoadImageFromFile, so "
                "image sizes cannot be had without reading pixels; it has "
                f"{[type(t).__name__ for t in steps]}"
            )
        for index in loaders:
            steps[index] = _BlankImage()

    def rows() -> Iterator[tuple]:
        # The random transforms draw from numpy's global generator: seed it for a
        # repeatable count and give the caller its state back.
        state = np.random.get_state()  # noqa: NPY002
        np.random.seed(0)  # noqa: NPY002
        try:
            for index in sorted(order.tolist()):
                packed = dataset[index]
                sample = packed["data_samples"]
                row: tuple[list, list, list] = ([], [], [])
                for flag, instances in (
                    (False, sample.gt_instances),
                    (True, sample.ignored_instances),
                ):
                    boxes = getattr(instances.bboxes, "tensor", instances.bboxes)
                    row[0].extend(boxes.tolist())
                    row[1].extend(instances.labels.tolist())
                    row[2].extend([flag] * len(boxes))
                advance()
                yield (tuple(packed["inputs"].shape[-2:]), *row)
        finally:
            np.random.set_state(state)  # noqa: NPY002

    return TrainingBoxes.from_rows(rows())


def training_boxes(
    dataset: Any,
    annotated: TrainingBoxes | None = None,
    advance: Callable[[], None] = lambda: None,
) -> TrainingBoxes:
    """Return sizes and boxes after the data set's transforms.

    Resizing, to a fixed scale or to one drawn from a list, is done by arithmetic on
    whole arrays. Other random sizes, crops and multi-image transforms run on blank
    images of the annotated size, at most 5,000 of them, with a fixed seed.

    Args:
        dataset: Built mmengine data set with an mmdet training pipeline.
        annotated: :func:`annotated_boxes` of the data set, if already at hand.
        advance: Called after each image of the slow way.

    Raises:
        ValueError: The slow way is needed and the pipeline loads no image.
    """
    if not is_arithmetic(dataset):
        return _blank_run(dataset, advance)
    tables = []
    table = annotated_boxes(dataset) if annotated is None else annotated
    start = 0
    for leaf in leaf_datasets(dataset):
        part = table.select(np.arange(start, start + len(leaf)))
        start += len(leaf)
        for transform in leaf.pipeline.transforms:
            if type(transform).__name__ in _RESIZES:
                part = _resize(part, transform)
        tables.append(part)
    offsets = np.cumsum([0] + [len(part) for part in tables])
    return TrainingBoxes(
        np.concatenate([part.img_shape for part in tables]),
        np.concatenate([part.boxes for part in tables]),
        np.concatenate([part.labels for part in tables]),
        np.concatenate([part.ignored for part in tables]),
        np.concatenate([tables[i].image + offsets[i] for i in range(len(tables))]),
    )
