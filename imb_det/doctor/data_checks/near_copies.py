"""Images that look alike, by a hash of what they show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imb_det.datasets.image_hashes import HASH_BITS, image_hash, near_pairs

from .copy_groups import CopyGroups
from .file_digests import each_file

__all__ = ["near_copies"]


def near_copies(paths: Sequence[str], distance: int) -> CopyGroups:
    """Group images whose hashes are equal, and tell which groups are near.

    Args:
        paths: Image files; what cannot be decoded is left out.
        distance: Bits of 256 in which near ones may differ, 0 to 64.

    Raises:
        ImportError: ImageHash is not installed.
    """
    import imagehash  # noqa: F401 -- before the first file

    found = each_file(paths, image_hash, "hashing images")
    groups: dict[bytes, list[str]] = {}
    for path, own in zip(paths, found, strict=True):
        if own is not None:
            groups.setdefault(np.packbits(own).tobytes(), []).append(path)
    packed = np.frombuffer(b"".join(groups), np.uint8).reshape(len(groups), -1)
    hashes = np.unpackbits(packed, axis=1).astype(bool)
    if not len(hashes):
        hashes = np.zeros((0, HASH_BITS), bool)
    return CopyGroups(list(groups.values()), near_pairs(hashes, distance))
