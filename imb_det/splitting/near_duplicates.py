"""Images that show nearly the same, by a hash of what they show."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from imb_det.datasets.image_hashes import HASH_BITS, image_hash, near_pairs

__all__ = ["near_duplicates"]

_THREADS = 4
_SHOWN_FROM = 500  # files; fewer are read in seconds


def near_duplicates(paths: Sequence[Path], max_bits: int) -> list[int]:
    """Return a number for each image, equal for those that are nearly the same.

    Where a is nearly b and b is nearly c, all three are of one kind.

    Args:
        paths: Of the files.
        max_bits: Bits of 256 that may differ, 0 to 64.

    Raises:
        ImportError: ImageHash is not installed.
        OSError: A file is not there, or is no image.
        ValueError: ``max_bits`` is out of range.
    """
    import imagehash  # noqa: F401 -- before the first file

    near_pairs(np.zeros((0, HASH_BITS), bool), max_bits)  # before the long part
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(image_hash, paths)
        is_quick = len(paths) < _SHOWN_FROM
        found = tqdm(found, "hashing", len(paths), unit="img", disable=is_quick)
        hashes = np.array(list(found), bool).reshape(-1, HASH_BITS)
    unique, kind = np.unique(hashes, axis=0, return_inverse=True)
    links = near_pairs(unique, max_bits)
    shape = (len(unique), len(unique))
    near = coo_matrix((np.ones(len(links), bool), (*links.T,)), shape=shape)
    _, component = connected_components(near, directed=False)
    return np.asarray(component[kind.ravel()]).tolist()
