"""PASCAL VOC data set that reports and mends what mmdet passes over in silence."""

from __future__ import annotations

import os.path as osp
from pathlib import Path
from typing import Any

import mmdet.datasets
from mmengine.fileio import get_local_path

from imb_det.registry import DATASETS
from imb_det.statistics.image_header import check_regular
from imb_det.statistics.voc_files import (
    VocObject,
    parse_voc_xml,
    voc_image_ids,
    voc_objects,
    voc_size,
)

from .audited_dataset import AuditedDataset

__all__ = ["VOCDataset"]


@DATASETS.register_module()
class VOCDataset(AuditedDataset, mmdet.datasets.VOCDataset):
    """mmdet's ``VOCDataset`` with an audit of its annotations.

    It takes the same arguments and gives the same records, except that boxes without
    area, with a missing or non-finite corner, or wholly outside their image are
    removed; with mmdet they turn the box loss into ``inf``. This holds for
    ``test_mode=True`` as well: no detection can match such a box, so in an evaluation
    it would only lower the recall. Boxes over the border stay as they are.

    Objects of classes that ``metainfo['classes']`` does not name are left out, as
    mmdet does, but counted by name. An image whose XML has no object is background,
    unless ``filter_cfg=dict(filter_empty_gt=True)`` drops it. Everything found is in
    the attribute ``audit`` and, once, in the log.

    Args:
        **kwargs: Arguments of mmdet's ``VOCDataset``.

    Raises:
        FileNotFoundError: An image list or XML file is missing.
        ValueError: An image list or XML file cannot be understood, or lists an image
            twice; no image is listed or left after filtering; or a training set has no
            box.
    """

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the image list and its XML files, collecting the audit.

        Raises:
            ValueError: ``filter_cfg`` has ``bbox_min_size`` in test mode.
        """
        self._begin_audit()
        if self.bbox_min_size is not None and self.test_mode:
            raise ValueError(
                "`filter_cfg=dict(bbox_min_size=...)` is for training: in a test, "
                "small boxes would be no objects to find. Take it out where "
                "`test_mode=True`"
            )
        self.cat2label = {c: i for i, c in enumerate(self._metainfo["classes"])}
        with get_local_path(self.ann_file, backend_args=self.backend_args) as path:
            check_regular(path)
            content = Path(path).read_bytes()
        return [
            self.parse_data_info(
                {
                    "img_id": name,
                    "file_name": osp.join(self.img_subdir, f"{name}.jpg"),
                    "xml_path": osp.join(
                        self.sub_data_root, self.ann_subdir, f"{name}.xml"
                    ),
                }
            )
            for name in voc_image_ids(content, str(self.ann_file))
        ]

    def parse_data_info(self, img_info: dict[str, Any]) -> dict[str, Any]:
        """Read one XML file.

        Args:
            img_info: ``img_id``, ``file_name`` and ``xml_path``.

        Returns:
            Record with ``img_path``, ``img_id``, ``xml_path``, ``height``, ``width``
            and ``instances``.
        """
        xml_path = img_info["xml_path"]
        img_path = osp.join(self.sub_data_root, img_info["file_name"])
        with get_local_path(xml_path, backend_args=self.backend_args) as path:
            root = parse_voc_xml(path, xml_path, str(self.ann_file))
        width, height = voc_size(root)
        if width <= 0 or height <= 0:
            width, height = self._size_from_image(img_path, xml_path)
        objects = list(voc_objects(root, xml_path, (width, height), self.cat2label))
        if not objects:
            self._audit.add("no_objects", xml_path)
        for found in objects:
            self._note(found, xml_path)
        return {
            "img_path": img_path,
            "img_id": img_info["img_id"],
            "xml_path": xml_path,
            "height": height,
            "width": width,
            "instances": [
                self._instance(found) for found in objects if found.is_usable
            ],
        }

    def _note(self, found: VocObject, xml_path: str) -> None:
        """Add what is wrong with an object to the audit."""
        if found.fault == "unknown_class":
            self._audit.add_unknown_class(found.name, xml_path)
        elif found.fault is not None:
            where = f"object[{found.place}]"
            self._audit.add(found.fault, xml_path, where, found.name, found.written)

    def _instance(self, found: VocObject) -> dict[str, Any]:
        """Return an object as mmdet has it: small ones are ignored, if asked for."""
        x1, y1, x2, y2 = found.bbox
        least = self.bbox_min_size
        is_small = least is not None and min(x2 - x1, y2 - y1) < least
        return {
            "ignore_flag": int(found.is_difficult or is_small),
            "bbox": found.bbox,
            "bbox_label": self.cat2label[found.name],
        }
