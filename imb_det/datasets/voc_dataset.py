"""PASCAL VOC data set that reports and mends what mmdet passes over in silence."""

from __future__ import annotations

import os.path as osp
import xml.etree.ElementTree as ET
from typing import Any

import mmdet.datasets
from mmengine.fileio import get_local_path

from imb_det.registry import DATASETS
from imb_det.statistics.dataset_access import USABLE_FAULTS, box_fault
from imb_det.statistics.voc_files import (
    VOC_CORNERS,
    voc_corners,
    voc_is_difficult,
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
        ValueError: An XML file cannot be understood, no image is listed or left
            after filtering, or a training set has no box.
    """

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
        root = self._read_xml(xml_path)
        width, height = map(int, voc_size(root))
        if width <= 0 or height <= 0:
            width, height = self._size_from_image(img_path, xml_path)
        self._remove_unusable(root, xml_path, width, height)
        return {
            "img_path": img_path,
            "img_id": img_info["img_id"],
            "xml_path": xml_path,
            "height": height,
            "width": width,
            "instances": self._parse_instance_info(ET.ElementTree(root)),
        }

    def _read_xml(self, xml_path: str) -> ET.Element:
        """Parse a file, naming it and the image list on failure."""
        try:
            with get_local_path(xml_path, backend_args=self.backend_args) as path:
                return ET.parse(path).getroot()
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{xml_path} does not exist, but {self.ann_file} lists it"
            ) from error
        except ET.ParseError as error:
            raise ValueError(
                f"{xml_path}, listed in {self.ann_file}, is not valid XML: {error}"
            ) from error

    def _remove_unusable(
        self, root: ET.Element, xml_path: str, width: int, height: int
    ) -> None:
        """Take objects that must not be trained on out of the tree, and note them.

        Raises:
            ValueError: An object that stays is malformed.
        """
        objects = root.findall("object")
        if not objects:
            self._audit.add("no_objects", xml_path)
        for index, obj in enumerate(objects):
            name = obj.findtext("name", "")
            if name not in self.cat2label:
                self._audit.add_unknown_class(name, xml_path)
                root.remove(obj)
                continue
            fault = box_fault(voc_corners(obj), width, height)
            if fault is not None:
                written = [obj.findtext(f"bndbox/{key}") or "?" for key in VOC_CORNERS]
                box = f"({', '.join(written)})"
                self._audit.add(fault, xml_path, f"object[{index}]", name, box)
            if fault not in USABLE_FAULTS:
                root.remove(obj)
                continue
            try:
                voc_is_difficult(obj)
            except ValueError as error:
                raise ValueError(
                    f"{xml_path}: object[{index}] {name}: {error}"
                ) from error
