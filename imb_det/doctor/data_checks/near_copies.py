"""Images that look alike, by a perceptual hash."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from PIL import Image

from imb_det.statistics.image_header import check_regular

from .copy_groups import CopyGroups
from .file_digests import each_file

__all__ = ["HASH_BITS", "near_copies", "near_pairs"]

#: Bits of a hash.
HASH_BITS = 64
_DRAFT = (128, 128)  # a JPEG may be decoded smaller, but no smaller than this


def near_copies(paths: Sequence[str], distance: int) -> CopyGroups:
    """Group images whose hashes, the signs of their lowest frequencies, are equal.

    Args:
        paths: Image files; what cannot be decoded is left out.
        distance: Bits in which near ones may differ, in [0, 63].

    Raises:
        ImportError: ImageHash is not installed.
    """
    from imagehash import phash

    found = each_file(paths, _hasher(phash), "hashing images")
    groups: dict[int, list[str]] = {}
    for path, own in zip(paths, found, strict=True):
        if own is not None:
            groups.setdefault(own, []).append(path)
    return CopyGroups(
        list(groups.values()), near_pairs(np.array(list(groups), np.uint64), distance)
    )


def _hasher(phash: Callable) -> Callable[[str], int | None]:
    def look(path: str) -> int | None:
        check_regular(path)
        try:
            with Image.open(path) as image:
                image.draft("L", _DRAFT)
                bits = phash(image).hash.ravel()
        except Exception:  # each decoder has errors of its own
            return None
        return int.from_bytes(np.packbits(bits).tobytes(), "big")

    return look


def near_pairs(hashes: np.ndarray, distance: int) -> np.ndarray:
    """Find the pairs of hashes that differ in few bits.

    Two hashes that differ in at most d of their bits are equal in at least one of
    d + 1 bands of them: only those are compared.

    Args:
        hashes: Each once, uint64 (n,).
        distance: Bits that may differ, in [0, 63].

    Returns:
        Places of both, the lesser one first, each pair once; int64 (k, 2).
    """
    edges = np.linspace(0, HASH_BITS, distance + 2).astype(int)
    pairs = [np.zeros((0, 2), np.int64)]
    for low, high in pairwise(edges.tolist()):
        mask = np.uint64((1 << (high - low)) - 1)
        band = (hashes >> np.uint64(low)) & mask
        order = np.argsort(band, kind="stable")
        pairs += _within_runs(hashes[order], band[order], order, distance)
    return np.unique(np.concatenate(pairs), axis=0)


def _within_runs(
    hashes: np.ndarray, band: np.ndarray, place: np.ndarray, distance: int
) -> list[np.ndarray]:
    """Compare hashes that are sorted by a band with those of the same one."""
    found = []
    for step in range(1, len(hashes)):
        first = np.flatnonzero(band[step:] == band[:-step])
        if not len(first):
            break
        differ = (hashes[first] ^ hashes[first + step]).view(np.uint8).reshape(-1, 8)
        near = first[np.unpackbits(differ, axis=1).sum(1) <= distance]
        both = np.column_stack([place[near], place[near + step]])
        found.append(np.sort(both, axis=1))
    return found
