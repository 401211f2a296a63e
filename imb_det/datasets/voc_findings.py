"""What files of PASCAL VOC hold at which mmdet's own data sets stop."""

from __future__ import annotations

import os.path as osp
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmdet.datasets import XMLDataset
from mmengine.fileio import get_local_path

from imb_det.core.finding import Finding, Severity
from imb_det.statistics.image_header import check_regular
from imb_det.statistics.voc_files import parse_voc_xml, voc_image_ids, voc_objects

from .audited_dataset import AuditedDataset

__all__ = ["findings_of_voc", "is_voc_of_mmdet"]

_REMEDY = (
    "Correct the file; `type='imb_det.VOCDataset'` names all that is wrong, and leaves "
    "out boxes without a corner"
)
_ANY_SIZE = (10**9, 10**9)


def is_voc_of_mmdet(kind: type) -> bool:
    """Tell whether a class of data sets reads PASCAL VOC, and is mmdet's."""
    is_ours = issubclass(kind, AuditedDataset)
    return not is_ours and (
        getattr(kind, "load_data_list", None) is XMLDataset.load_data_list
    )


def findings_of_voc(leaf: Any) -> Iterator[Finding]:
    """Find what mmdet's data set cannot read.

    Args:
        leaf: Data set; it need not have read its files.
    """
    list_file = str(leaf.ann_file)
    try:
        with get_local_path(list_file, backend_args=leaf.backend_args) as path:
            check_regular(path)
            names = voc_image_ids(Path(path).read_bytes(), list_file)
    except (OSError, ValueError) as error:
        yield _refused(list_file, str(error))
        return
    for name in names:
        xml_path = osp.join(leaf.sub_data_root, leaf.ann_subdir, f"{name}.xml")
        try:
            yield from _of_file(leaf, xml_path, list_file)
        except (OSError, ValueError) as error:
            yield _refused(xml_path, str(error))


def _of_file(leaf: Any, xml_path: str, list_file: str) -> Iterator[Finding]:
    with get_local_path(xml_path, backend_args=leaf.backend_args) as path:
        root = parse_voc_xml(path, xml_path, list_file)
    sides = {key: root.findtext(f"size/{key}") for key in ("width", "height")}
    if root.find("size") is not None and not all(map(_is_whole, sides.values())):
        yield _refused(xml_path, f"<size> has {sides}, no two whole numbers")
    classes = leaf.metainfo.get("classes")
    # mmdet takes boxes as they are, wherever they lie, with their marks.
    for found in voc_objects(root, xml_path, _ANY_SIZE, classes):
        if found.fault == "not_finite":
            where = f"{xml_path} object[{found.place}]"
            yield _refused(where, f"{found.name} {found.written}")


def _is_whole(text: str | None) -> bool:
    try:
        int(text or "")
    except ValueError:
        return False
    return True


def _refused(where: str, evidence: str) -> Finding:
    what = "mmdet's data set cannot read a file of PASCAL VOC"
    return Finding("voc_file", Severity.ERROR, what, where, evidence, _REMEDY)
