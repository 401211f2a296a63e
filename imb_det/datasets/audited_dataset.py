"""Data sets that audit their annotations, and a check of those that do not."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from mmdet.datasets import BaseDetDataset
from mmengine.dist import is_main_process
from mmengine.logging import print_log

from imb_det.core.finding import Finding
from imb_det.statistics.dataset_access import USABLE_FAULTS, box_fault, leaf_datasets
from imb_det.statistics.image_header import size_from_image
from imb_det.statistics.shown_labels import hides_labels

from .audit import DatasetAudit, finding_of

__all__ = ["AuditedDataset", "faulty_boxes"]


class AuditedDataset(BaseDetDataset):
    """Mixin before an mmdet data set: collects, checks and logs an audit.

    The class that uses it fills ``_audit`` while it parses. The annotation file
    is audited as a whole, whatever ``filter_cfg`` and ``indices`` keep of it, and
    always when it is read: with ``lazy_init=True`` that is at first use.

    """

    _audit: DatasetAudit

    @property
    def audit(self) -> DatasetAudit:
        """What loading found; it loads the annotations if nothing did so yet."""
        self.full_init()
        return self._audit

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the annotations, collecting the audit."""
        self._begin_audit()
        records: list[dict[str, Any]] = super().load_data_list()
        return records

    def _begin_audit(self) -> None:
        """Check the list of classes, and start with nothing found.

        Raises:
            TypeError: ``metainfo['classes']`` is one string.
            ValueError: ``metainfo['classes']`` is empty or names a class twice.
        """
        classes = self._metainfo.get("classes")
        if isinstance(classes, str):
            raise TypeError(
                f"`metainfo['classes']` is the string {classes!r}, but must be a "
                f"sequence of names; for one class write ({classes!r},) with a comma"
            )
        if not classes:
            raise ValueError(f"{self.ann_file}: `metainfo['classes']` names no class")
        if twice := [name for name, n in Counter(classes).items() if n > 1]:
            raise ValueError(f"`metainfo['classes']` names {twice} more than once")
        self._audit = DatasetAudit(str(self.ann_file), classes=tuple(classes))

    def filter_data(self) -> list[dict[str, Any]]:
        """Apply ``filter_cfg``, then check what is left and log the audit.

        Raises:
            ValueError: No image is listed or left, or, for training, no box.
        """
        self._audit.num_listed = len(self.data_list)
        kept: list[dict[str, Any]] = super().filter_data()
        used = kept
        if isinstance(self._indices, int):
            n = self._indices
            used = kept[:n] if n >= 0 else kept[n:]
        elif isinstance(self._indices, Sequence):
            used = [kept[index] for index in self._indices]
        flags = Counter(
            bool(instance["ignore_flag"])
            for info in (() if hides_labels(self) else used)
            for instance in info["instances"]
        )
        self._audit.num_images = len(used)
        self._audit.num_boxes, self._audit.num_ignored = flags[False], flags[True]
        self._check_not_empty()
        if is_main_process():
            level = logging.WARNING if self._audit.needs_attention else logging.INFO
            print_log(self._audit.summary(), logger="current", level=level)
        return kept

    def _check_not_empty(self) -> None:
        """Refuse a split without images, or without anything to learn from."""
        audit = self._audit
        if not audit.num_listed:
            raise ValueError(f"{audit.source}: the split is empty, it lists no image")
        if not audit.num_images:
            raise ValueError(
                f"{audit.source}: none of the {audit.num_listed} images is left after "
                f"filter_cfg={self.filter_cfg} and indices={self._indices}\n"
                f"{audit.summary()}"
            )
        if not (audit.num_boxes or self.test_mode or hides_labels(self)):
            raise ValueError(
                f"{audit.source}: no box to train on in {audit.num_images} images, for "
                f"the classes {tuple(self._metainfo['classes'])}\n{audit.summary()}"
            )

    def _size_from_image(self, img_path: str, ann_path: str) -> tuple[int, int]:
        """Return the width and height that the annotations do not give."""
        self._audit.add("no_size", ann_path)
        return size_from_image(img_path, ann_path, self.backend_args)


def faulty_boxes(dataset: Any) -> Iterator[tuple[Any, Finding]]:
    """Find boxes that make a box loss infinite, in data sets without an audit.

    Args:
        dataset: Built mmengine data set; wrappers are looked through, and parts that
            derive from :class:`AuditedDataset` are skipped: they have no such box, and
            so are parts whose pipeline hides their boxes.

    Yields:
        The part and the finding, for each box that is not ignored and has no area, a
        corner that is not finite, or no pixel in its image: ``Resize`` clips it to a
        box without area. Where a record has no size, only a box left of or above the
        image is known to be outside.
    """
    for leaf in leaf_datasets(dataset):
        if isinstance(leaf, AuditedDataset) or hides_labels(leaf):
            continue
        classes = leaf.metainfo.get("classes") or ()
        for number in range(len(leaf)):
            info = leaf.get_data_info(number)
            size = (info.get("width") or math.inf, info.get("height") or math.inf)
            for index, instance in enumerate(info.get("instances", ())):
                bbox = instance.get("bbox")
                if bbox is None or instance.get("ignore_flag"):
                    continue
                fault = box_fault(bbox, *size)
                if fault in USABLE_FAULTS:
                    continue
                label = instance["bbox_label"]
                name = classes[label] if label < len(classes) else f"class {label}"
                finding = finding_of(
                    str(fault),
                    str(info.get("xml_path") or info.get("img_path")),
                    f"object[{index}]",
                    str(name),
                    f"({', '.join(f'{v:g}' for v in bbox)})",
                )
                yield leaf, finding
