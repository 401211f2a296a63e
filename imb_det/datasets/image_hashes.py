"""Hashes of what images show, and pairs of them that are nearly equal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from imb_det.statistics.image_header import check_regular

__all__ = ["HASH_BITS", "MOST_BITS", "image_hash", "near_pairs"]

_SIDE = 16
#: Bits of a hash.
HASH_BITS = _SIDE * _SIDE
#: Bits that may differ at most; of images that have nothing in common, half of them do.
MOST_BITS = HASH_BITS // 4
# What Pillow raises, in all its formats.
_DAMAGED = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
_PAIRS = 1 << 20  # that are compared at once


def image_hash(path: str | Path) -> np.ndarray:
    """Return where an image gets brighter from left to right, on a grid of 16 x 16.

    Copies in another size, quality or brightness differ in few of the 256 bits.

    Args:
        path: Of the file.

    Returns:
        Bool (256,).

    Raises:
        ImportError: ImageHash is not installed.
        OSError: There is no such file, or it is no image.
    """
    from imagehash import dhash

    check_regular(path)
    try:
        with Image.open(path) as image:
            image.draft("L", (8 * _SIDE, 8 * _SIDE))  # JPEG is read at a smaller size
            found = dhash(_of_bytes(image), hash_size=_SIDE)
    except _DAMAGED as error:
        raise OSError(f"{path} cannot be read as an image: {error}") from error
    return np.asarray(found.hash, bool).ravel()


def _of_bytes(image: Image.Image) -> Image.Image:
    """Return an image of 8 bits; Pillow alone would make white of most that have 16."""
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image
    small = image.convert("I" if image.mode != "F" else "F").convert("F")
    small = small.resize((8 * _SIDE, 8 * _SIDE), Image.Resampling.BOX)
    values = np.nan_to_num(np.asarray(small))
    low, high = values.min(), values.max()
    scaled = (values - low) * (255 / (high - low if high > low else 1))
    return Image.fromarray(scaled.astype(np.uint8))


def near_pairs(hashes: np.ndarray, max_bits: int) -> np.ndarray:
    """Find pairs of different hashes that are near, without comparing all.

    Of two that differ in d bits, one of d + 1 strips of bits is equal in both; the
    first such strip finds them. Films of thousands of like images have millions of
    pairs, so that none is kept more than once.

    Args:
        hashes: Each once, bool (n, 256).
        max_bits: Bits that may differ, 0 to 64.

    Returns:
        Places of both, the lesser one first, each pair once; int64 (k, 2).

    Raises:
        ValueError: ``max_bits`` is out of range.
    """
    if not 0 <= max_bits <= MOST_BITS:
        raise ValueError(
            f"bits that may differ must be 0 to {MOST_BITS} of {HASH_BITS}, got "
            f"{max_bits}"
        )
    # Neighbouring bits say the same; mixed ones tell more images apart.
    order_of_bits = np.random.default_rng(0).permutation(HASH_BITS)
    mixed = hashes[:, order_of_bits]
    found: list[np.ndarray] = [np.zeros((0, 2), np.int64)]
    before: list[np.ndarray] = []  # what earlier strips are
    for strip in np.array_split(np.arange(HASH_BITS), max_bits + 1):
        packed = np.packbits(mixed[:, strip], axis=1)
        _, kind = np.unique(packed, axis=0, return_inverse=True)
        kind = kind.ravel().astype(np.int32)
        order = np.argsort(kind, kind="stable")
        ends = np.cumsum(np.bincount(kind))
        for members in np.split(order, ends[:-1]):
            found += _within(hashes, members, max_bits, before)
        before.append(kind)
    pairs = np.concatenate(found)
    return pairs[np.lexsort(pairs.T[::-1])]


def _within(
    hashes: np.ndarray, members: np.ndarray, max_bits: int, before: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Compare all hashes of some, in parts; pairs of earlier strips are left out."""
    found: list[np.ndarray] = []
    if len(members) < 2:
        return found
    rows = max(1, _PAIRS // len(members))
    others = hashes[members].astype(np.float32)
    for start in range(0, len(members) - 1, rows):
        some = others[start : start + rows]
        differ = some.sum(1)[:, None] + others.sum(1) - 2 * some @ others.T
        first, second = np.nonzero(differ <= max_bits)
        is_new = first + start < second
        one, other = members[first[is_new] + start], members[second[is_new]]
        for kind in before:
            differs = kind[one] != kind[other]
            one, other = one[differs], other[differs]
        found.append(np.stack([one, other], 1))
    return found
