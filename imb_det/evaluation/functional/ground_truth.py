"""Ground truth of a data set in COCO's terms."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from mmdet.datasets import CocoDataset, Objects365V1Dataset
from mmengine.fileio import get_local_path
from mmengine.logging import print_log

from imb_det.statistics.coco_content import CocoContent
from imb_det.statistics.coco_masks import sound_parts
from imb_det.statistics.dataset_access import (
    class_names,
    has_area,
    id_order,
    iter_data_infos,
    leaf_datasets,
)

from .coco_reading import Source, image_entry, read_coco, read_content

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["GroundTruth", "coco_ground_truth", "content_of", "is_ignored"]


def is_ignored(annotation: Mapping[str, Any]) -> bool:
    """Tell whether an annotation is nothing to find: a crowd, or ignored by LVIS."""
    return bool(annotation["iscrowd"] or annotation.get("ignore"))


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Images and their objects, numbered by us so that any data set fits.

    An image is known by its row, a class by its label, and annotations count from 1:
    COCO's matcher takes id 0 for "no match", and needs integers where VOC has names.

    Args:
        classes: Names, in the order of the labels; length C.
        image_ids: The data set's own ids, in row order; length N, unique.
        images: ``id`` (the row), ``height``, ``width`` of each image, 0 where it is
            not known; length N.
        annotations: COCO annotations with ``id``, ``image_id`` (a row),
            ``category_id`` (a label), ``bbox`` (x, y, w, h), ``area``, ``iscrowd``
            and, where there are masks, ``segmentation``; in LVIS perhaps ``ignore``.
    """

    classes: tuple[str, ...]
    image_ids: tuple[Any, ...]
    images: list[dict[str, int]]
    annotations: list[dict[str, Any]]

    @property
    def rows(self) -> dict[Any, int]:
        """Row of each image id."""
        return {image_id: row for row, image_id in enumerate(self.image_ids)}

    @property
    def object_count(self) -> np.ndarray:
        """Objects that a detector has to find, by class; int64 (C,)."""
        labels = [a["category_id"] for a in self.annotations if not is_ignored(a)]
        return np.bincount(np.asarray(labels, int), minlength=len(self.classes))

    def with_sizes(self, records: Iterable[Mapping[str, Any]]) -> Self:
        """Take sizes that the file does not give from what was evaluated.

        Args:
            records: ``img_id``, ``width`` and ``height`` of images.
        """
        if all(image["width"] and image["height"] for image in self.images):
            return self
        known = {record["img_id"]: record for record in records}
        images = []
        for image_id, image in zip(self.image_ids, self.images, strict=True):
            is_sized = image["width"] and image["height"]
            other = image if is_sized else known.get(image_id, image)
            images.append(image_entry(image["id"], other))
        return replace(self, images=images)

    def judged_by(self, iou_type: str) -> Self:
        """Keep what can be judged: by masks, not the objects whose mask shows nothing.

        Polygons that cannot be drawn, beside others that can, are left out as well.

        Args:
            iou_type: ``bbox`` or ``segm``.
        """
        if iou_type == "bbox":
            return self
        annotations = []
        for annotation in self.annotations:
            mask = annotation.get("segmentation")
            try:
                parts = sound_parts(mask) if isinstance(mask, list) else mask
            except TypeError:  # no polygons, which is refused
                parts = mask
            if parts == mask:
                annotations.append(annotation)
            elif parts:
                annotations.append({**annotation, "segmentation": parts})
        return replace(self, annotations=annotations)

    def subset(self, image_ids: Collection[Any]) -> Self:
        """Keep the images with these ids; ids of no image are passed over."""
        wanted = set(image_ids)
        if wanted.issuperset(self.image_ids):
            return self
        kept = [row for row, name in enumerate(self.image_ids) if name in wanted]
        return self._take(kept)

    def _take(self, kept: Sequence[int]) -> Self:
        """Keep the images of these rows, ascending."""
        new_row = {old: new for new, old in enumerate(kept)}
        return replace(
            self,
            image_ids=tuple(self.image_ids[row] for row in kept),
            images=[{**self.images[row], "id": new_row[row]} for row in kept],
            annotations=[
                {**annotation, "image_id": new_row[annotation["image_id"]]}
                for annotation in self.annotations
                if annotation["image_id"] in new_row
            ],
        )

    @classmethod
    def from_coco(
        cls, source: Source, classes: Sequence[str] | None = None
    ) -> GroundTruth:
        """Read a COCO annotation file; crowds stay crowds, ``ignore`` has no effect.

        What shows no sound object is judged or left out as
        :data:`~imb_det.statistics.coco_kinds.KINDS` says.

        Args:
            source: The file or its content.
            classes: Names in the order of the labels; every category of the file, in
                its order, if None.

        Raises:
            ValueError: Classes that the file does not have, or in another order, see
                :func:`~imb_det.statistics.coco_classes.category_ids`; a malformed
                file, see :class:`~imb_det.statistics.coco_content.CocoContent`.
        """
        file = read_content(source)
        if file.is_federated:
            print_log(
                "The annotations are federated (LVIS), but COCO's rules apply: a "
                "detection of a class that nobody looked for in the image is wrong.",
                logger="current",
                level=logging.WARNING,
            )
        return cls(*read_coco(file, classes, ("iscrowd",)))

    @classmethod
    def from_records(
        cls,
        classes: Sequence[str],
        records: Iterable[Mapping[str, Any]],
        with_empty: bool = False,
    ) -> GroundTruth:
        """Build from annotation records of mmdet data sets.

        Boxes with ``ignore_flag`` (VOC's difficult ones) become crowds, as in mmdet:
        a detection on one of them is neither right nor wrong. Boxes without area are
        left out, because no detection could match them. The area that decides on
        small, medium and large is that of the box.

        Args:
            classes: Names in the order of the labels.
            records: ``img_id``, ``width``, ``height`` and ``instances`` with ``bbox``
                (x1, y1, x2, y2), ``bbox_label``, ``ignore_flag`` and perhaps ``mask``.
            with_empty: Whether boxes without area stay: VOC gives them one pixel.
                Default: False.

        Raises:
            ValueError: Two records with one image id.
        """
        records = sorted(records, key=lambda record: id_order(record["img_id"]))
        ids = [record["img_id"] for record in records]
        if twice := list(dict.fromkeys(a for a, b in pairwise(ids) if a == b)):
            raise ValueError(f"images must have unique ids, found twice: {twice[:5]}")
        annotations: list[dict[str, Any]] = []
        without_area = 0
        for row, record in enumerate(records):
            instances = record["instances"]
            is_box = has_area([instance["bbox"] for instance in instances])
            for instance, keep in zip(instances, is_box, strict=True):
                if not (keep or with_empty):
                    without_area += 1
                    continue
                x1, y1, x2, y2 = map(float, instance["bbox"])
                annotation = {
                    "id": len(annotations) + 1,
                    "image_id": row,
                    "category_id": int(instance["bbox_label"]),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": int(instance.get("ignore_flag", 0)),
                }
                if instance.get("mask"):
                    annotation["segmentation"] = instance["mask"]
                annotations.append(annotation)
        if without_area:
            print_log(
                f"{without_area} ground truth boxes without area are not evaluated.",
                logger="current",
            )
        sizes = [image_entry(row, record) for row, record in enumerate(records)]
        return cls(tuple(classes), tuple(ids), sizes, annotations)


def coco_ground_truth(dataset: Any) -> GroundTruth:
    """Ground truth of any mmdet data set, for the images it holds.

    A ``CocoDataset`` is read from its annotation file, so that areas and crowds are
    the file's; every other data set, and a concatenation, from its records (see
    :meth:`GroundTruth.from_records` for ignored boxes).

    Args:
        dataset: Data set, built, in test mode; wrappers are looked through.

    Raises:
        ValueError: No classes, or two images with one id.
    """
    leaves, classes = leaf_datasets(dataset), class_names(dataset)
    if len(leaves) > 1 or not isinstance(leaves[0], CocoDataset):
        return GroundTruth.from_records(classes, iter_data_infos(dataset))
    present = {info["img_id"] for info in iter_data_infos(leaves[0])}
    return GroundTruth.from_coco(content_of(leaves[0]), classes).subset(present)


def content_of(dataset: CocoDataset) -> CocoContent:
    """Read the annotation file of a data set, with its categories in mmdet's order."""
    with get_local_path(dataset.ann_file, backend_args=dataset.backend_args) as path:
        file = CocoContent.read(path, dataset.ann_file)
    if isinstance(dataset, Objects365V1Dataset):
        file.categories.sort(key=lambda category: category["id"])
    return file
