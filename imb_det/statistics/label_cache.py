"""Label tables, read once for each content of a data set."""

from __future__ import annotations

import hashlib
import logging
import os
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from scipy.sparse import csr_matrix

from .cache import checksum, default_cache_dir, write_whole
from .class_maps import is_class_map, map_step
from .dataset_access import class_names, iter_data_infos, leaf_datasets
from .label_table import LabelTable
from .loaded_masks import loaded_infos, mask_use
from .segments import first_record, has_areas, is_panoptic
from .shown_labels import hides_labels

__all__ = ["label_table"]

# Raise it when reading changes, so that older tables are not used.
_VERSION = 4
_CACHED_FROM = 10_000  # images; fewer are read in less than a second
_MAPS_CACHED_FROM = 100  # images of sets with pixels, which take longer
# What numpy and zipfile raise; RuntimeError where a flag or a version is wrong.
_DAMAGED = (
    OSError,
    EOFError,
    KeyError,
    RuntimeError,
    ValueError,
    zipfile.BadZipFile,
)

#: What options of a step may be whose text tells them apart.
_PLAIN = (int, float, str, list, tuple, dict)

#: Arrays of the sparse matrix of pixels.
_PIXELS = ("pixels", "pixels_class", "pixels_image")

_logger = logging.getLogger(__name__)


def label_table(dataset: Any, cache_dir: Path | None = None) -> LabelTable:
    """Return the classes of the boxes of every image; large sets are read only once.

    A part with 10,000 images or more, or 100 with pixels to count, whose records are
    serialised, as mmengine does by default, is found again on disk by the hash of these
    bytes, of its classes, and of size and time of the files that have the pixels. A
    file that was changed since does not fit its checksum, and is read anew.

    Args:
        dataset: Built mmengine data set, wrapped in any way.
        cache_dir: Folder of the tables. Default: None, ``$XDG_CACHE_HOME/imb_det`` or
            ``~/.cache/imb_det``; without a home, nothing is cached.

    Returns:
        What :meth:`LabelTable.from_dataset` returns.

    Raises:
        ValueError: As :meth:`LabelTable.from_dataset`.
    """
    classes = class_names(dataset)
    folder = default_cache_dir() if cache_dir is None else Path(cache_dir)
    return LabelTable.joined(
        [_table_of(leaf, classes, folder) for leaf in leaf_datasets(dataset)]
    )


def _table_of(leaf: Any, classes: tuple[str, ...], folder: Path | None) -> LabelTable:
    # Its length is asked first: it loads a lazy data set.
    is_large = len(leaf) >= _CACHED_FROM
    if not is_large and len(leaf) >= _MAPS_CACHED_FROM:
        info = first_record(leaf)
        is_large = is_panoptic(info) or is_class_map(info)
    serialised = getattr(leaf, "data_bytes", None)
    if folder is None or not (is_large and isinstance(serialised, np.ndarray)):
        return LabelTable.from_infos(classes, loaded_infos(leaf))
    kind = f"{type(leaf).__module__}.{type(leaf).__qualname__}"
    content = (_VERSION, kind, classes, mask_use(leaf), hides_labels(leaf))
    digest = hashlib.sha256(repr(content).encode())
    for state in _states_of_files(leaf):
        digest.update(repr(state).encode())
    digest.update(np.ascontiguousarray(leaf.data_address).data)
    digest.update(serialised.data)
    key = digest.hexdigest()[:32]
    path = folder / f"labels-{key}.npz"
    try:
        return _load(path, key, classes)
    except FileNotFoundError:
        pass
    except _DAMAGED as error:
        _logger.warning("%s is unreadable (%s), reading the data set", path, error)
    table = LabelTable.from_infos(classes, loaded_infos(leaf))
    try:
        write_whole(path, lambda file: _save(file, key, table))
    except OSError as error:
        _logger.warning("labels are not cached: %s", error)
    return table


def _states_of_files(leaf: Any) -> Iterator[Any]:
    """Yield what changes with the files that records only name."""
    info = first_record(leaf)
    if is_panoptic(info):
        things = leaf.metainfo.get("thing_classes"), leaf.metainfo.get("stuff_classes")
        yield (things, _state(getattr(leaf, "ann_file", "")))
        if has_areas(leaf, info):
            return
    elif is_class_map(info):
        if (step := map_step(leaf)) is not None:
            options = sorted(vars(step).items())
            yield type(step), [x for x in options if isinstance(x[1], _PLAIN)]
    else:
        return
    for other in iter_data_infos(leaf):
        yield _state(other.get("seg_map_path"))


def _state(path: Any) -> tuple[int, int] | None:
    """Return size and time of a file, None for one that is elsewhere."""
    try:
        found = os.stat(path)
    except (OSError, TypeError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns


def _load(path: Path, key: str, classes: tuple[str, ...]) -> LabelTable:
    with np.load(path, allow_pickle=False) as content:
        parts = [content[key] for key in _PIXELS if key in content]
        table = LabelTable(classes, content["labels"], content["offsets"])
        if parts:
            shape = (len(table), len(classes))
            table = replace(table, pixels=csr_matrix(tuple(parts), shape=shape))
        if str(content["checksum"]) != _sum_of(key, table):
            raise ValueError("it was changed: its checksum does not fit")
    return table


def _save(file: BinaryIO, key: str, table: LabelTable) -> None:
    arrays: dict[str, Any] = dict(zip(_PIXELS, _pixels(table), strict=False))
    np.savez(
        file,
        labels=table.labels,
        offsets=table.offsets,
        checksum=np.array(_sum_of(key, table)),
        **arrays,
    )


def _pixels(table: LabelTable) -> tuple[np.ndarray, ...]:
    """Return the arrays of the pixels; none without any."""
    found = table.pixels
    return () if found is None else (found.data, found.indices, found.indptr)


def _sum_of(key: str, table: LabelTable) -> str:
    arrays = (table.labels, table.offsets, *_pixels(table))
    kinds = str([(array.dtype.str, array.shape) for array in arrays])
    parts = [np.ascontiguousarray(array).tobytes() for array in arrays]
    return checksum([key.encode(), kinds.encode(), *parts])
