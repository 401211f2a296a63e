"""What ``filter_cfg`` drops, and options in it that nobody reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmdet.datasets import CocoDataset, XMLDataset

from imb_det.core.finding import Finding, Severity
from imb_det.datasets.audited_dataset import AuditedDataset
from imb_det.doctor.context import DoctorContext
from imb_det.statistics.dataset_access import leaf_datasets

from .read_names import names_read_by

__all__ = ["check_filters"]

#: Files above this size, in bytes, are not read once more to count their images.
_LARGE = 50_000_000
#: Share of the images that a training may leave out without a warning.
_MANY = 0.5
_OPTION = "filter_cfg=dict(filter_empty_gt=False)"


def check_filters(context: DoctorContext) -> Iterator[Finding]:
    """Find filters that leave out images without objects, or do nothing.

    A training without them learns nothing of background that holds no object; an
    evaluation without them does not count what is found there by mistake.

    Args:
        context: With data sets.
    """
    for split, dataset in context.datasets.items():
        for leaf in leaf_datasets(dataset):
            where = f"`{split}_dataloader`, {getattr(leaf, 'ann_file', '')}"
            chosen = getattr(leaf, "filter_cfg", None)
            if isinstance(chosen, Mapping) and chosen:
                yield from _of_leaf(leaf, chosen, split, where)


def _of_leaf(
    leaf: Any, chosen: Mapping[str, Any], split: str, where: str
) -> Iterator[Finding]:
    known = names_read_by([type(leaf)])
    for key in chosen:
        if key not in known:
            yield Finding(
                "unread_option",
                Severity.WARNING,
                "an option that nobody reads",
                f"`filter_cfg` of {type(leaf).__name__}, {where}",
                f"`{key}={chosen[key]!r}`",
                "Write `filter_cfg=dict(filter_empty_gt=..., min_size=...)`",
            )
    if not chosen.get("filter_empty_gt"):
        return
    if getattr(leaf, "test_mode", False):
        yield Finding(
            "idle_filter",
            Severity.INFO,
            "`filter_empty_gt` does nothing in a data set with `test_mode=True`",
            where,
            remedy="Take `filter_cfg` out; an evaluation needs images without objects",
        )
        return
    listed = _listed(leaf)
    if listed is None or listed <= len(leaf):
        return
    evidence = f"{listed - len(leaf)} of {listed} images are left out"
    if split != "train":
        yield Finding(
            "filtered_evaluation",
            Severity.WARNING,
            "an evaluation leaves out images without objects, where every detection "
            "would be wrong",
            where,
            evidence,
            f"Write `test_mode=True` or `{_OPTION}` into `{split}_dataloader.dataset`",
        )
        return
    is_much = listed - len(leaf) > _MANY * listed
    yield Finding(
        "filtered_training",
        Severity.WARNING if is_much else Severity.INFO,
        "a training leaves out images without objects, and so what is no object there",
        where,
        f"{evidence} (`filter_empty_gt`, `min_size`)",
        f"Write `{_OPTION}`, if the detector will see such images",
    )


def _listed(leaf: Any) -> int | None:
    """Return the number of images that an annotation file lists, None if not known."""
    if getattr(leaf, "_indices", None) is not None:
        return None
    if isinstance(leaf, AuditedDataset):
        return leaf.audit.num_listed
    path = Path(str(getattr(leaf, "ann_file", "")))
    if not path.is_file() or path.stat().st_size > _LARGE:
        return None
    if isinstance(leaf, XMLDataset):
        return len(path.read_text(encoding="utf-8").split())
    if not isinstance(leaf, CocoDataset):
        return None
    images = json.loads(path.read_bytes()).get("images")
    return len(images) if isinstance(images, list) else None
