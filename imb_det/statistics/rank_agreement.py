"""Ranks that see different data, found before they train on them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
from mmengine.dist import all_gather_object, get_world_size

from imb_det.core.finding import Finding, Severity
from imb_det.core.text import and_more

from .dataset_access import image_of_index, info_of_image, leaf_datasets

__all__ = ["compare_ranks"]

_WHAT = "ranks have different data or settings"
_UNREAD = "the data set"
_REMEDY = (
    "Give all ranks, on all machines, the same annotation files, classes and config; "
    "sort what a folder or a set is read into"
)


def compare_ranks(
    where: str, dataset: Any, settings: Mapping[str, Any] | None = None
) -> list[Finding]:
    """Compare the data set of this rank with those of the others.

    Images count by file name (not by folder, which may differ between machines), id,
    boxes and labels, in their order; in addition the classes and the order in which
    wrappers show the images. Where records are serialised, as mmengine does by default,
    their bytes are compared first, and no record is read where these are the same.

    Every rank must call this; a single process has nothing to compare.

    Args:
        where: What it is, such as ``train_dataloader``.
        dataset: Built mmengine data set, wrapped in any way.
        settings: What else must be the same, by name, as plain values. Default: none.

    Returns:
        What differs, the same list on all ranks.
    """
    if get_world_size() == 1:
        return []
    others = {key: repr(value) for key, value in (settings or {}).items()}
    of_data, of_settings = zip(
        *all_gather_object((_facts(dataset), others)), strict=True
    )
    # What follows from other data is told only where the data are the same.
    texts = list(_differences(of_data))
    if not texts and len({(f.get("records"), f.get("order")) for f in of_data}) > 1:
        texts = list(_first_difference(dataset))
    return [_finding(where, text) for text in texts or _differences(of_settings)]


def _differences(of_ranks: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Name the facts that are not the same on all ranks."""
    keys = dict.fromkeys(key for facts in of_ranks for key in facts)
    for key in [_UNREAD] if _UNREAD in keys else keys:
        values = [facts.get(key, "missing") for facts in of_ranks]
        if key not in ("records", "order") and len(set(values)) > 1:
            yield _by_value(key, values)


def _facts(dataset: Any) -> dict[str, str]:
    """Return what is to be the same, as short texts."""
    try:
        leaves = leaf_datasets(dataset)
        classes = [leaf.metainfo.get("classes") for leaf in leaves]
        return {
            "the number of images": str(len(dataset)),
            "the list of classes": ", ".join(
                map(repr, dict.fromkeys(map(str, classes)))
            ),
            "records": "".join(map(_digest, leaves)),
            "order": hashlib.sha256(_order(dataset).tobytes()).hexdigest(),
        }
    except Exception as error:  # of one rank only, for which the others would wait
        return {_UNREAD: f"not to be read ({type(error).__name__}: {error})"}


def _digest(leaf: Any) -> str:
    """Return a hash of the records of a data set without wrappers."""
    length = len(leaf)  # asked first: it loads a lazy data set
    serialised = getattr(leaf, "data_bytes", None)
    if length and isinstance(serialised, np.ndarray) and serialised.size:
        digest = hashlib.sha256(np.ascontiguousarray(leaf.data_address).data)
        digest.update(np.ascontiguousarray(serialised).data)
        return digest.hexdigest()
    records = [_record(leaf.get_data_info(index)) for index in range(length)]
    return hashlib.sha256(repr(records).encode()).hexdigest()


def _order(dataset: Any) -> np.ndarray:
    """Return the image of each index, where the wrappers tell it."""
    try:
        return image_of_index(dataset)
    except TypeError:
        return np.arange(len(dataset))


def _record(info: Mapping[str, Any]) -> tuple:
    """Return what stands for an image."""
    instances = info.get("instances") or ()
    objects = [
        (i.get("bbox_label"), i.get("ignore_flag"), *_corners(i.get("bbox")))
        for i in instances
    ]
    return PurePath(str(info.get("img_path"))).name, info.get("img_id"), objects


def _corners(box: Any) -> list[float]:
    """Return the numbers of a list or an array, of whatever shape."""
    return [] if box is None else np.asarray(box, float).ravel().tolist()


def _first_difference(dataset: Any) -> Iterator[str]:
    """Name the first index whose image is not the same on all ranks, if there is any.

    The data sets are equally long; every rank calls this.
    """
    order = _order(dataset)
    leaves = leaf_datasets(dataset)
    records = (
        _record(leaf.get_data_info(i)) for leaf in leaves for i in range(len(leaf))
    )
    hashes = np.array([_hash(record) for record in records], np.uint64)[order]
    numbers = np.stack(all_gather_object(hashes))
    bad = np.flatnonzero((numbers != numbers[:1]).any(0))
    if not bad.size:
        return
    name, number, objects = _record(info_of_image(dataset, int(order[bad[0]])))
    labels = [label for label, *_ in objects]
    texts = all_gather_object(f"{name!r} (id {number!r}, labels {labels})")
    if len(set(texts)) == 1:
        texts = all_gather_object(f"{name!r} (labels and boxes {objects})")
    yield f"{_by_value(f'image {bad[0]}', texts)}; {bad.size} images differ"


def _hash(record: tuple) -> int:
    digest = hashlib.blake2b(repr(record).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _by_value(what: str, values: Sequence[str]) -> str:
    """Say which value which ranks have."""
    ranks: dict[str, list[int]] = {}
    for rank, value in enumerate(values):
        ranks.setdefault(value, []).append(rank)
    return f"{what} is " + ", ".join(
        f"{value} on rank{'s' * (len(group) > 1)} {and_more(group, 8, quoted=False)}"
        for value, group in ranks.items()
    )


def _finding(where: str, evidence: str) -> Finding:
    return Finding("ranks_differ", Severity.ERROR, _WHAT, where, evidence, _REMEDY)
