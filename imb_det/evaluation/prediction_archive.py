"""The form of files of predictions: arrays and names, of which none is a program."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imb_det.statistics.cache import write_whole

__all__ = ["image_id_of", "read_archive", "write_archive"]

_FORMAT, _VERSION = "imb_det predictions", 1
#: Kinds of the numbers, and dimensions, of each array.
_ARRAYS = {
    "image_size": ("iu", 2),
    "offsets": ("iu", 1),
    "bboxes": ("f", 2),
    "scores": ("f", 1),
    "labels": ("iu", 1),
}
#: The same of arrays that need not be there.
_MORE = {
    "mask_bytes": ("u", 1),
    "mask_offsets": ("iu", 1),
    "mask_scores": ("f", 1),
}
#: Times the size of a file, and bytes, beyond which no predictions unpack.
_MOST_TIMES, _MOST_BYTES = 100, 1e8
#: What numpy, zipfile and zlib raise for a file that is damaged or was made up.
_DAMAGED = (
    AttributeError,
    EOFError,
    KeyError,
    MemoryError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


def image_id_of(value: Any) -> int | str:
    """Return the id of an image as a file keeps it.

    Raises:
        TypeError: Neither a whole number nor a string; shows it.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return int(value)
    raise TypeError(
        f"ids of images must be whole numbers or strings, got {value!r} "
        f"({type(value).__name__})"
    )


def write_archive(
    path: str | Path,
    classes: tuple[str, ...],
    image_ids: tuple[int | str, ...],
    arrays: Mapping[str, Any],
) -> None:
    """Write a file, whole or not at all; it is not compressed, which takes long.

    Raises:
        OSError: It cannot be written.
    """
    header = {
        "format": _FORMAT,
        "version": _VERSION,
        "classes": classes,
        "image_ids": image_ids,
    }
    text = np.frombuffer(json.dumps(header).encode("ascii"), np.uint8)
    write_whole(Path(path), lambda file: np.savez(file, header=text, **arrays))


def read_archive(
    path: str | Path,
) -> tuple[tuple[str, ...], tuple[int | str, ...], dict[str, np.ndarray]]:
    """Read classes, ids of the images and arrays of a file, each by itself sound.

    Raises:
        ValueError: Another file, of a later version, cut short, changed, or with
            Python objects in it, which are not read; says what is wrong.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            _check_size(content, Path(path).stat().st_size)
            classes, image_ids = _header(content)
            more = {name: kind for name, kind in _MORE.items() if name in content}
            arrays = {
                name: _array(content, name, kind, dimensions)
                for name, (kind, dimensions) in {**_ARRAYS, **more}.items()
            }
    except _DAMAGED as error:
        reason = str(error) or type(error).__name__
        raise ValueError(
            f"{path} is no file of predictions as `tools/test.py --out FILE.npz` "
            f"writes it, or is cut short ({reason})"
        ) from error
    return classes, image_ids, arrays


def _check_size(content: Any, packed: int) -> None:
    """Refuse what would fill the memory; files of ours are not packed at all."""
    size = sum(entry.file_size for entry in content.zip.infolist())
    if size > max(_MOST_TIMES * packed, _MOST_BYTES):
        raise ValueError(f"its {packed} bytes would unpack to {size}")


def _header(content: Any) -> tuple[tuple[str, ...], tuple[int | str, ...]]:
    """Read and check the names of classes and images."""
    header = json.loads(_array(content, "header", "u", 1).tobytes().decode("ascii"))
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise ValueError("its header is that of another format")
    version = header.get("version")
    if version != _VERSION:
        raise ValueError(
            f"it has version {version!r} of the format, and this library reads version "
            f"{_VERSION}; read it with the library that wrote it"
        )
    classes, ids = header["classes"], header["image_ids"]
    if not isinstance(classes, list) or not all(isinstance(n, str) for n in classes):
        raise ValueError("`classes` must be a list of names")
    if not isinstance(ids, list):
        raise ValueError("`image_ids` must be a list")
    return tuple(classes), tuple(map(image_id_of, ids))


def _array(content: Any, name: str, kinds: str, dimensions: int) -> np.ndarray:
    array = content[name]
    if array.dtype.kind not in kinds or array.ndim != dimensions:
        raise ValueError(
            f"`{name}` is an array of {array.dtype} with {array.ndim} dimensions"
        )
    return array
