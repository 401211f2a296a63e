"""COCO data set that reports what mmdet drops or mixes up in silence."""

from __future__ import annotations

import os.path as osp
from typing import Any

import mmdet.datasets
import numpy as np
from mmdet.datasets.api_wrappers import COCO

from imb_det.core.finding import FindingsError
from imb_det.registry import DATASETS
from imb_det.statistics.coco_classes import category_ids, described_ids
from imb_det.statistics.coco_content import CocoContent
from imb_det.statistics.coco_faults import place_of
from imb_det.statistics.coco_kinds import NAMES, TOLD
from imb_det.statistics.coco_masks import judge_masks
from imb_det.statistics.loaded_masks import mask_use
from imb_det.statistics.shown_labels import hides_labels

from .audited_dataset import AuditedDataset
from .coco_index import index_of

__all__ = ["CocoDataset"]


@DATASETS.register_module()
class CocoDataset(AuditedDataset, mmdet.datasets.CocoDataset):
    """mmdet's ``CocoDataset`` with an audit of its annotations.

    It takes the same arguments and gives the same records, except that boxes with a
    non-finite number are removed. Whatever mmdet leaves out without a word (boxes
    without area, under a pixel or outside the image, ``ignore``, ``area`` of 0,
    categories that the config does not name) is counted, named in the attribute
    ``audit`` and, once, in the log. Crowds stay, as ignored boxes. Where the pipeline
    loads masks (``LoadAnnotations(with_mask=True)``), an object whose polygons show
    nothing is ignored too, in the records as in the pipeline, and so not counted.

    mmdet numbers the labels by the order of the *file*, and skips classes that the
    file does not have, so that labels and names drift apart; of several images,
    annotations or categories with one id it keeps the last. All of that is an error
    here, and so are two categories of one name.

    What cannot be read at all is one error with all entries that are malformed. The
    counts of ``ClassStats`` and the metrics of this library read files by the same
    rules (:mod:`imb_det.statistics.coco_kinds` says what becomes of what).

    Args:
        **kwargs: Arguments of mmdet's ``CocoDataset``.

    Raises:
        ValueError: The file cannot be understood, lacks a class of the config or has
            the classes in another order; entries share an id, or are malformed; no
            image is listed or left after filtering; or a training set has no box.
    """

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the annotation file."""
        self.COCOAPI = self._read  # mmdet calls it with the path
        self._changed: dict[Any, dict[str, Any] | None] = {}
        try:
            records: list[dict[str, Any]] = super().load_data_list()
            return records
        finally:
            del self.COCOAPI, self._changed

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any]:
        """Convert the annotations of one image.

        Args:
            raw_data_info: ``raw_img_info``, an entry of ``images``, and
                ``raw_ann_info``, its annotations.

        Returns:
            mmdet's record, with ``instances``.
        """
        own = raw_data_info["raw_ann_info"]
        own = [self._changed.get(ann["id"], ann) for ann in own]
        usable = [ann for ann in own if ann is not None]
        record: dict[str, Any] = super().parse_data_info(
            {**raw_data_info, "raw_ann_info": usable}
        )
        return record

    def _read(self, path: str) -> COCO:
        """Read the file, audit it, and decide what is left out or changed."""
        is_hidden = hides_labels(self)
        needs_annotations = not (self.test_mode or is_hidden)
        file = CocoContent.read(path, self.ann_file, needs_annotations, "file_name")
        if not is_hidden:  # labels that nobody sees may be any
            category_ids(file.content, self._metainfo["classes"], self.ann_file)
        used = {category["id"] for category in file.categories}
        if used != set(range(1, len(used) + 1)):
            self._audit.add("category_ids", str(self.ann_file), *described_ids(used))
        for row in file.without_size.tolist():
            image = file.images[row]
            img_path = osp.join(self.data_prefix["img"], image["file_name"])
            where = place_of(file.source, "images", row, image)
            image["width"], image["height"] = self._size_from_image(img_path, where)
        if "annotations" not in file.content:  # of a test set whose objects are secret
            self._audit.add("no_annotations", str(self.ann_file))
            return index_of(file)
        self._audit_boxes(file)
        if (as_polygons := mask_use(self)) is not None:
            self._audit_masks(file, as_polygons)
        return index_of(file)

    def _audit_boxes(self, file: CocoContent) -> None:
        """Leave out what cannot be trained on, and note it."""
        classes, audit = self._metainfo["classes"], self._audit
        ignored = file.flags("ignore") & (file.kinds != NAMES.index("unknown_image"))
        chosen = file.chosen(classes, NAMES) & ~ignored
        audit.take(file.findings(chosen & file.chosen(classes, TOLD)))
        border = chosen & (file.kinds == NAMES.index("over_border"))
        audit.count("over_border", int(border.sum()))
        is_known = (file.category_rows >= 0) & (file.image_rows >= 0)
        is_wanted = file.of_classes(classes)
        audit.count("ignored", int((is_known & is_wanted & ignored).sum()))
        for index in np.flatnonzero(is_known & ~is_wanted).tolist():
            category = file.categories[file.category_rows[index]]
            image = file.images[file.image_rows[index]]
            audit.add_unknown_class(category["name"], image["file_name"])
        for index in np.flatnonzero(~file.are("is_used")).tolist():
            self._changed[file.annotations[index]["id"]] = None
        number = np.bincount(file.image_rows + 1, minlength=len(file.images) + 1)[1:]
        for row in np.flatnonzero(number == 0).tolist():
            where = place_of(file.source, "images", row, file.images[row])
            audit.add("no_objects", where)

    def _audit_masks(self, file: CocoContent, as_polygons: bool) -> None:
        """Ignore objects whose mask shows nothing, as the pipeline does."""
        masks = judge_masks(file, self._metainfo["classes"], "is_used")
        if masks.faults:
            raise FindingsError(masks.faults, file.source)
        self._audit.take(masks.findings.values())
        shown: dict[int, dict[str, Any]] = {}
        for index, polygons in masks.trimmed.items():
            shown[index] = {"segmentation": polygons}
        for index in masks.hidden:
            shown[index] = {"iscrowd": 1, "segmentation": [[]]}
        for index in masks.encoded if as_polygons else ():
            shown[index] = {"iscrowd": 1}
        for index, values in shown.items():
            annotation = file.annotations[index]
            self._changed[annotation["id"]] = {**annotation, **values}
