"""Image lists and class names of PASCAL VOC, as mmdet's own data sets read them."""

from __future__ import annotations

import os.path as osp
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.fileio import get_local_path

from imb_det.core.finding import Finding, Severity
from imb_det.core.text import and_more
from imb_det.datasets.audit import DatasetAudit
from imb_det.datasets.voc_findings import is_voc_of_mmdet
from imb_det.doctor.context import DoctorContext
from imb_det.statistics.dataset_access import leaf_datasets
from imb_det.statistics.voc_files import parse_voc_xml, voc_image_ids, voc_objects

from .objects import dropped_images

__all__ = ["check_voc_lists"]


def check_voc_lists(context: DoctorContext) -> Iterator[Finding]:
    """Find what mmdet's data sets of PASCAL VOC pass over without a word.

    Those of this library tell it by themselves.

    Args:
        context: With data sets.
    """
    for dataset in context.datasets.values():
        for leaf in leaf_datasets(dataset):
            if is_voc_of_mmdet(type(leaf)):
                yield from _of_leaf(leaf)


def _of_leaf(leaf: Any) -> Iterator[Finding]:
    source = str(leaf.ann_file)
    with get_local_path(source, backend_args=leaf.backend_args) as path:
        content = Path(path).read_bytes()
    lines = [line.strip() for line in content.decode("utf-8-sig").split("\n")]
    number = Counter(filter(None, lines))
    twice = [name for name, times in number.items() if times > 1]
    if twice:
        yield Finding(
            "repeated_image",
            Severity.WARNING,
            "an image list names images more than once",
            source,
            and_more(twice),
            "Remove the repeats; to show images more often, use `RepeatDataset` or a "
            "sampler",
        )
    names = voc_image_ids("\n".join(number).encode(), source)
    audit = DatasetAudit(source, classes=tuple(leaf.metainfo.get("classes") or ()))
    for name in names:
        file = osp.join(leaf.sub_data_root, leaf.ann_subdir, f"{name}.xml")
        with get_local_path(file, backend_args=leaf.backend_args) as path:
            root = parse_voc_xml(path, file, source)
        try:
            for found in voc_objects(root, file, (1, 1), audit.classes):
                if found.fault == "unknown_class":
                    audit.add_unknown_class(found.name, file)
        except ValueError as error:
            yield _unnamed(file, str(error))
    yield from audit.everything()
    if not twice:
        yield from dropped_images(leaf, len(names))


def _unnamed(file: str, evidence: str) -> Finding:
    return Finding(
        "unnamed_object",
        Severity.WARNING,
        "objects without the name of a class, left out",
        file,
        evidence.removeprefix(f"{file}: "),
        "Write their `<name>`, or take them out of the file",
    )
