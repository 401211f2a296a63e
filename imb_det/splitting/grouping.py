"""Images that must stay together."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from imb_det.core.text import and_more

__all__ = ["joined_groups", "name_keys"]


def name_keys(names: Sequence[str], pattern: str) -> list[str | None]:
    r"""Return the part of each file name that images of one group share.

    Args:
        names: Of the files.
        pattern: Regular expression, looked for anywhere in the name. What its groups
            in parentheses match is the key, or all of it where it has none.

    Returns:
        Keys; None for a name in which it is not found.

    Raises:
        ValueError: No regular expression, or it is found in no name.

    Example:
        >>> name_keys(["a_01.jpg", "a_02.jpg", "b.jpg"], r"^(\w+)_\d+")
        ['a', 'a', None]
    """
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
    found = [compiled.search(name) for name in names]
    if names and not any(found):
        raise ValueError(
            f"{pattern!r} is found in none of the names of the images, such as "
            f"{and_more(names, 3)}"
        )
    return [
        None if m is None else "\0".join(x or "" for x in m.groups() or (m[0],))
        for m in found
    ]


def joined_groups(
    names: Sequence[str], criteria: Sequence[Sequence[Hashable | None]] = ()
) -> np.ndarray:
    """Number the groups of images that share a name, or a key of any criterion.

    Args:
        names: Of the files; images of one name always stay together.
        criteria: Keys of the images; None for one that stands alone.

    Returns:
        Group of each image, int64 (N,). They are numbered by their first name, so that
        the order of the images makes no difference.

    Example:
        >>> joined_groups(["c", "a", "b"], [[1, 2, 1], [None, None, None]])
        array([1, 0, 1])
    """
    num_images = len(names)
    number: dict[tuple[int, Hashable], int] = {}
    image, node = [], []
    for criterion, keys in enumerate((names, *criteria)):
        for index, key in enumerate(keys):
            if key is not None:
                image.append(index)
                place = number.setdefault((criterion, key), len(number))
                node.append(num_images + place)
    size = num_images + len(number)
    links = coo_matrix((np.ones(len(image), bool), (image, node)), shape=(size, size))
    _, component = connected_components(links, directed=False)
    own = component[:num_images]
    order = np.array(sorted(range(num_images), key=names.__getitem__), np.int64)
    _, first, inverse = np.unique(own[order], return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    group_of = np.empty(num_images, np.int64)
    group_of[order] = rank[inverse]
    return group_of
