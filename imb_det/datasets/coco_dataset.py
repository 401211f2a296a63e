"""COCO data set that reports what mmdet drops or mixes up in silence."""

from __future__ import annotations

import json
import os.path as osp
from collections.abc import Collection
from itertools import islice
from typing import Any

import mmdet.datasets

from imb_det.registry import DATASETS
from imb_det.statistics.coco_files import (
    category_ids,
    check_ids,
    coco_fault,
)
from imb_det.statistics.dataset_access import USABLE_FAULTS

from .audited_dataset import AuditedDataset

__all__ = ["CocoDataset"]

_ANN_KEYS = ("bbox", "area", "category_id")
_NAMED = 20  # ids that the log names


@DATASETS.register_module()
class CocoDataset(AuditedDataset, mmdet.datasets.CocoDataset):
    """mmdet's ``CocoDataset`` with an audit of its annotations.

    It takes the same arguments and gives the same records, except that boxes with a
    non-finite number are removed. Whatever mmdet leaves out without a word (boxes
    without area, under a pixel or outside the image, ``ignore``, ``area`` of 0,
    categories that the config does not name) is counted, named in the attribute
    ``audit`` and, once, in the log. Crowds stay, as ignored boxes.

    mmdet numbers the labels by the order of the *file*, and skips classes that the
    file does not have, so that labels and names drift apart; of several images,
    annotations or categories with one id it keeps the last. All of that is an error
    here, and so are two categories of one name.

    In evaluation, ``CocoMetric`` with an ``ann_file`` reads the ground truth from
    the file itself: what is left out here is not left out there.

    Args:
        **kwargs: Arguments of mmdet's ``CocoDataset``.

    Raises:
        ValueError: The file cannot be understood, lacks a class of the config or has
            the classes in another order; entries share an id; an image or annotation
            is malformed; no image is listed or left after filtering; or a training
            set has no box.
    """

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the annotation file."""
        self._file_is_audited = False
        try:
            return super().load_data_list()
        except json.JSONDecodeError as error:
            raise ValueError(f"{self.ann_file} is not valid JSON: {error}") from error
        except KeyError as error:
            raise ValueError(
                f"{self.ann_file}: an entry lacks the key {error}"
            ) from error

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any]:
        """Convert the annotations of one image.

        Args:
            raw_data_info: ``raw_img_info``, an entry of ``images``, and
                ``raw_ann_info``, its annotations.

        Returns:
            mmdet's record, with ``instances``.
        """
        if not self._file_is_audited:
            self._audit_file()
            self._file_is_audited = True
        image = raw_data_info["raw_img_info"]
        annotations = raw_data_info["raw_ann_info"]
        size = [image.get(key) or 0 for key in ("width", "height")]
        if not all(isinstance(side, (int, float)) for side in size):
            raise ValueError(
                f"{self.ann_file}: image {image['id']} ({image['file_name']}): `width` "
                f"and `height` must be numbers, got {size}"
            )
        if min(size) <= 0:
            path = osp.join(self.data_prefix["img"], image["file_name"])
            where = f"{self.ann_file}, image {image['file_name']}"
            image["width"], image["height"] = self._size_from_image(path, where)
        if not annotations:
            self._audit.add("no_objects", image["file_name"])
        usable = [ann for ann in annotations if self._is_usable(ann, image)]
        record: dict[str, Any] = super().parse_data_info(
            {**raw_data_info, "raw_ann_info": usable}
        )
        return record

    def _audit_file(self) -> None:
        """Compare categories and ids; mmdet's ``self.coco`` holds the whole file."""
        content = self.coco.dataset
        check_ids(content, self.ann_file)
        category_ids(content, self._metainfo["classes"], self.ann_file)
        used = {category["id"] for category in content["categories"]}
        if used != set(range(1, len(used) + 1)):
            self._audit.add("category_ids", str(self.ann_file), *_describe_ids(used))
        for ann in content.get("annotations", ()):
            if ann["image_id"] not in self.coco.imgs:
                self._audit.add(
                    "unknown_image",
                    f"image_id {ann['image_id']!r}",
                    f"annotation {ann['id']}",
                )

    def _is_usable(self, ann: dict[str, Any], image: dict[str, Any]) -> bool:
        """Judge one annotation, noting why it is left out."""
        file, index = image["file_name"], f"annotation {ann['id']}"
        if missing := [key for key in _ANN_KEYS if key not in ann]:
            raise ValueError(
                f"{self.ann_file}: {index} ({file}) lacks the keys {missing}"
            )
        category = self.coco.cats.get(ann["category_id"])
        if category is None:
            self._audit.add("unknown_category", file, index, f"id {ann['category_id']}")
            return False
        name = category["name"]
        if ann["category_id"] not in self.cat2label:
            self._audit.add_unknown_class(name, file)
            return False
        if ann.get("ignore"):
            self._audit.add("ignored", file)
            return False
        try:
            fault = coco_fault(ann, image["width"], image["height"])
        except ValueError as error:
            raise ValueError(f"{self.ann_file}: {index} ({file}): {error}") from error
        if fault is not None:
            self._audit.add(fault, file, index, name, str(ann["bbox"]))
        return fault in USABLE_FAULTS


def _describe_ids(used: Collection[Any]) -> list[str]:
    """Tell the span of category ids, and the first ids in it that are not used."""
    if not all(isinstance(number, int) for number in used):
        return [f"{len(used)} ids that are not all whole numbers"]
    least, most = min(used), max(used)
    span = f"{len(used)} ids from {least} to {most}"
    # Not all gaps are listed: ids may be billions apart.
    free = (number for number in range(least, most) if number not in used)
    gaps = list(islice(free, _NAMED + 1))
    more = " ..." * (len(gaps) > _NAMED)
    return [span, f"not used: {gaps[:_NAMED]}{more}"] if gaps else [span]
