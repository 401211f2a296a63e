"""COCO data set that reports what mmdet drops or mixes up in silence."""

from __future__ import annotations

import json
import math
import os.path as osp
from collections import Counter
from typing import Any

import mmdet.datasets

from imb_det.registry import DATASETS

from .audit import box_fault
from .audited_dataset import AuditedDataset

__all__ = ["CocoDataset"]

_ANN_KEYS = ("bbox", "area", "category_id")


@DATASETS.register_module()
class CocoDataset(AuditedDataset, mmdet.datasets.CocoDataset):
    """mmdet's ``CocoDataset`` with an audit of its annotations.

    It takes the same arguments and gives the same records, except that boxes with a
    non-finite number are removed. Whatever mmdet leaves out without a word (boxes
    without area, under a pixel or outside the image, ``ignore``, ``area`` of 0,
    categories that the config does not name) is counted, named in the attribute
    ``audit`` and, once, in the log. Crowds stay, as ignored boxes.

    mmdet numbers the labels by the order of the *file*, and skips classes that the
    file does not have, so that labels and names drift apart. Both are errors here.

    In evaluation, ``CocoMetric`` with an ``ann_file`` reads the ground truth from
    the file itself: what is left out here is not left out there.

    Args:
        **kwargs: Arguments of mmdet's ``CocoDataset``.

    Raises:
        ValueError: The file cannot be understood, lacks a class of the config or has
            the classes in another order; no image is listed or left after filtering;
            or a training set has no box.
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
        if not ((image.get("width") or 0) > 0 and (image.get("height") or 0) > 0):
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
        file_names = [category["name"] for category in content["categories"]]
        classes = list(self._metainfo["classes"])
        if missing := [name for name in classes if name not in file_names]:
            raise ValueError(
                f"{self.ann_file} has no category {missing}, which the config names "
                "in `metainfo['classes']`: the labels of all later classes would "
                f"shift. The file has {file_names}"
            )
        if twice := [
            n for n, k in Counter(file_names).items() if k > 1 and n in classes
        ]:
            raise ValueError(f"{self.ann_file} has several categories named {twice}")
        in_file_order = [name for name in file_names if name in classes]
        if in_file_order != classes:
            pairs = zip(classes, in_file_order, strict=True)
            at, (ours, theirs) = next(
                (i, p) for i, p in enumerate(pairs) if p[0] != p[1]
            )
            raise ValueError(
                "`metainfo['classes']` must name the classes in the order of "
                f"{self.ann_file}, by which labels are numbered; label {at} is "
                f"'{theirs}' in the file, but '{ours}' in the config. The order of "
                f"the file: {tuple(in_file_order)}"
            )
        for ann in content.get("annotations", ()):
            if ann["image_id"] not in self.coco.imgs:
                self._audit.add(
                    "unknown_image",
                    f"image_id {ann['image_id']}",
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
            x, y, width, height = map(float, ann["bbox"])
        except (TypeError, ValueError):
            x = y = width = height = math.nan
        corners = (x, y, x + width, y + height)
        fault = box_fault(corners, image["width"], image["height"])
        if fault in (None, "over_border"):
            if width < 1 or height < 1:
                fault = "below_pixel"
            elif ann["area"] <= 0:
                fault = "no_mask_area"
        if fault is not None:
            self._audit.add(fault, file, index, name, str(ann["bbox"]))
        return fault in (None, "over_border")
