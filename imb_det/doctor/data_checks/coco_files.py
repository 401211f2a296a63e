"""What annotation files of COCO and LVIS hold beside what data sets look at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from mmdet import datasets
from mmengine.fileio import get_local_path

from imb_det.core.finding import Finding, FindingsError, Severity
from imb_det.core.text import and_more, look_alike
from imb_det.datasets.annotation_files import is_read_by_mmdet
from imb_det.datasets.audit import COUNTED_KINDS, finding_of
from imb_det.datasets.audited_dataset import AuditedDataset
from imb_det.doctor.context import DoctorContext
from imb_det.statistics.coco_classes import described_ids
from imb_det.statistics.coco_content import CocoContent
from imb_det.statistics.dataset_access import leaf_datasets
from imb_det.statistics.loaded_masks import mask_use
from imb_det.statistics.shown_labels import hides_labels

from .category_maps import CategoryMap, compared, maps_of_metrics, order_of_lvis
from .mask_boxes import masks_off_their_boxes
from .objects import dropped_images

__all__ = ["check_coco_files"]


def check_coco_files(context: DoctorContext) -> Iterator[Finding]:
    """Read the files of all data sets of COCO and LVIS once more, and compare them.

    Args:
        context: With data sets; those whose files are malformed were told elsewhere.
    """
    maps: list[CategoryMap] = []
    read: set[str] = set()
    for split, dataset in context.datasets.items():
        for leaf in leaf_datasets(dataset):
            source = str(getattr(leaf, "ann_file", ""))
            if not _is_of_coco(leaf) or source in read:
                continue
            read.add(source)
            try:
                with get_local_path(source, backend_args=leaf.backend_args) as path:
                    file = CocoContent.read(path, source, False)
            except (FindingsError, OSError):
                continue
            pairs = [(c["id"], c["name"]) for c in file.categories]
            maps.append(CategoryMap(source, pairs))
            is_lvis = isinstance(leaf, datasets.LVISV05Dataset)
            yield from _of_file(context, split, leaf, file, is_lvis)
    maps += maps_of_metrics(context.metrics, read)
    yield from compared(maps, context.classes)


def _is_of_coco(leaf: Any) -> bool:
    is_ours = isinstance(leaf, AuditedDataset) and isinstance(
        leaf, datasets.CocoDataset
    )
    return is_ours or is_read_by_mmdet(type(leaf))


def _of_file(
    context: DoctorContext, split: str, leaf: Any, file: CocoContent, is_lvis: bool
) -> Iterator[Finding]:
    yield from _text_ids(file)
    if hides_labels(leaf):
        return
    classes = tuple(leaf.metainfo.get("classes") or ())
    if is_lvis:
        yield from order_of_lvis(file, classes)
    if not isinstance(leaf, AuditedDataset):
        yield from _as_audited(file, () if is_lvis else classes)
        yield from dropped_images(leaf, len(file.images))
    metrics = context.metrics.get(split, ())
    by_masks = any("segm" in getattr(metric, "metrics", ()) for metric in metrics)
    if mask_use(leaf) is not None or by_masks:
        yield from masks_off_their_boxes(file, None if is_lvis else classes)


def _text_ids(file: CocoContent) -> Iterator[Finding]:
    parts = dict(
        images=file.images, annotations=file.annotations, categories=file.categories
    )
    texts = []
    for name, entries in parts.items():
        own = [entry["id"] for entry in entries if isinstance(entry["id"], str)]
        if own:
            texts.append(f"{len(own):,} {name}, as {own[0]!r}")
    if texts:
        yield Finding(
            "text_ids",
            Severity.WARNING,
            "ids that are text, where most readers of COCO files want whole numbers",
            file.source,
            "; ".join(texts),
            "Number the entries from 1, and write the numbers without quotes",
        )


def _as_audited(file: CocoContent, classes: tuple[str, ...]) -> Iterator[Finding]:
    """Tell of a file that mmdet reads what our data sets tell of theirs.

    Args:
        file: Of a data set of mmdet's.
        classes: Names that are wanted; none if all are.
    """
    used = {category["id"] for category in file.categories}
    if used and used != set(range(1, len(used) + 1)):
        yield finding_of("category_ids", file.source, *described_ids(used))
    known = (file.category_rows >= 0) & (file.image_rows >= 0)
    wanted = file.of_classes(classes or None)
    if number := int((known & wanted & file.flags("ignore")).sum()):
        meaning = COUNTED_KINDS["ignored"]
        text = f"{number} of them"
        yield Finding("ignored", Severity.WARNING, meaning, file.source, text)
    if not classes:
        return
    others = known & ~wanted
    rows = np.bincount(file.category_rows[others], minlength=len(file.categories))
    for row in np.flatnonzero(rows).tolist():
        name = file.categories[row]["name"]
        alike = look_alike(name, classes)
        yield Finding(
            "unknown_class",
            Severity.WARNING,
            "classes that the config does not name, left out",
            f"{file.source}: {name!r}",
            f"{rows[row]} objects; the config has "
            + (f"{alike!r}" if alike else and_more(classes)),
            "Write names alike in config and annotations"
            if alike
            else "Add the class to `metainfo['classes']`, if it is to be learned",
        )
