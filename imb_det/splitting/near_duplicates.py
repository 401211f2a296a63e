"""Images that show nearly the same, by a difference hash."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from imb_det.statistics.image_header import check_regular

__all__ = ["difference_hash", "near_duplicates"]

_SIDE = 16
#: Bits of a hash.
BITS = _SIDE * _SIDE
# What Pillow raises, in all its formats.
_DAMAGED = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
_THREADS = 4
_SHOWN_FROM = 500  # files; fewer are read in seconds
_PAIRS = 1 << 20  # that are compared at once


def difference_hash(path: Path) -> np.ndarray:
    """Return where an image gets brighter from left to right, on a grid of 16 x 16.

    Copies in another size, quality or brightness differ in few of the 256 bits.

    Args:
        path: Of the file.

    Returns:
        Bool (256,).

    Raises:
        OSError: There is no such file, or it is no image.
    """
    check_regular(path)
    size = (_SIDE + 1, _SIDE)
    try:
        with Image.open(path) as image:
            image.draft("L", (4 * _SIDE, 4 * _SIDE))  # JPEG is read at a smaller size
            grey = image.convert("L").resize(size, Image.Resampling.BOX)
    except _DAMAGED as error:
        raise OSError(f"{path} cannot be read as an image: {error}") from error
    pixels = np.asarray(grey, np.int16)
    return (pixels[:, 1:] > pixels[:, :-1]).ravel()


def near_duplicates(paths: Sequence[Path], max_bits: int) -> list[int]:
    """Return a number for each image, equal for those that are nearly the same.

    Where a is nearly b and b is nearly c, all three are of one kind.

    Args:
        paths: Of the files.
        max_bits: Bits of 256 that may differ, 0 to 64.

    Raises:
        OSError: As :func:`difference_hash`.
        ValueError: ``max_bits`` is out of range.
    """
    if not 0 <= max_bits <= BITS // 4:
        raise ValueError(
            f"bits that may differ must be 0 to {BITS // 4} of {BITS}, got {max_bits}"
        )
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(difference_hash, paths)
        is_quick = len(paths) < _SHOWN_FROM
        found = tqdm(found, "hashing", len(paths), unit="img", disable=is_quick)
        hashes = np.array(list(found), bool).reshape(-1, BITS)
    unique, kind = np.unique(hashes, axis=0, return_inverse=True)
    links = _near_pairs(unique, max_bits)
    shape = (len(unique), len(unique))
    near = coo_matrix((np.ones(len(links), bool), (*links.T,)), shape=shape)
    _, component = connected_components(near, directed=False)
    return np.asarray(component[kind.ravel()]).tolist()


def _near_pairs(hashes: np.ndarray, max_bits: int) -> np.ndarray:
    """Return pairs of different hashes that are near, int (k, 2).

    Of two that differ in d bits, one of d + 1 strips of bits is equal in both.
    """
    # Neighbouring bits say the same; mixed ones tell more images apart.
    mixed = hashes[:, np.random.default_rng(0).permutation(BITS)]
    found: list[np.ndarray] = [np.zeros((0, 2), np.int64)]
    for strip in np.array_split(np.arange(BITS), max_bits + 1):
        packed = np.packbits(mixed[:, strip], axis=1)
        _, kind = np.unique(packed, axis=0, return_inverse=True)
        order = np.argsort(kind.ravel(), kind="stable")
        ends = np.cumsum(np.bincount(kind.ravel()))
        for members in np.split(order, ends[:-1]):
            rows = max(1, _PAIRS // len(members))
            for start in range(0, len(members) - 1, rows):
                some = hashes[members[start : start + rows]].astype(np.float32)
                others = hashes[members].astype(np.float32)
                differ = some.sum(1)[:, None] + others.sum(1) - 2 * some @ others.T
                first, second = np.nonzero(differ <= max_bits)
                is_new = first + start < second
                pairs = np.stack([first[is_new] + start, second[is_new]], 1)
                found.append(members[pairs])
    return np.concatenate(found)
