"""Which category of a COCO or LVIS file each label stands for; no mmdet import."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from itertools import islice, zip_longest
from typing import Any

from imb_det.core.text import and_more

__all__ = ["category_ids", "described_ids", "respelled", "spellings"]

_NAMED = 20  # ids that a text names


def spellings(classes: Sequence[str], theirs: Sequence[str]) -> dict[str, str]:
    """Find the names that another list spells differently, at the same place.

    mmdet's list of the LVIS classes mends a name that the annotation files misspell
    (``speaker_(stero_equipment)``), and numbers labels by place. Names are taken for
    one where the lists are equally long, both names are unknown to the other list, and
    no more than one in a hundred differs.

    Args:
        classes: Names in use.
        theirs: Names of a file or a checkpoint, in the order of the labels.

    Returns:
        The other list's spelling by the name in use; empty where that is not so.
    """
    if len(classes) != len(theirs):
        return {}
    pairs = zip(classes, theirs, strict=True)
    different = {ours: other for ours, other in pairs if ours != other}
    if len(different) > len(classes) // 100:
        return {}
    ours, others = set(classes), set(theirs)
    if any(a in others or b in ours for a, b in different.items()):
        return {}
    return different


def respelled(classes: Sequence[str], theirs: Sequence[str], source: Any) -> list[str]:
    """Write the names as the file does, with a warning where that differs."""
    other = spellings(classes, theirs)
    if other:
        warnings.warn(
            f"{source} spells classes differently, they are taken by their place "
            f"(name: in the file): {other}",
            stacklevel=4,
        )
    return [other.get(name, name) for name in classes]


def category_ids(
    content: Mapping[str, Any],
    classes: Sequence[str],
    source: Any = "the annotation file",
    by_place: bool = False,
) -> list[int]:
    """List the category id of each label, and check that mmdet means the same.

    mmdet's ``CocoDataset`` numbers the labels in the order of the *file*. Where the
    names of the config stand in another order, or the file lacks one of them, labels
    and names part company in silence: the tables and pictures then show wrong names,
    and a lacking class shifts all that follow it.

    Args:
        content: Content of a COCO annotation file, see
            :class:`~imb_det.statistics.coco_content.CocoContent`.
        classes: ``metainfo['classes']`` of the data set.
        source: The file, for the message.
        by_place: Whether a name may be spelled differently in the file, see
            :func:`spellings`: for mmdet's data sets of LVIS alone, which number labels
            by place, where all others would leave the class out. Default: False.

    Raises:
        ValueError: Names the classes that are missing, or the first that differs.
    """
    everyone = [category["name"] for category in content["categories"]]
    if by_place:
        classes = respelled(classes, everyone, source)
    wanted = set(classes)
    kept = [c for c in content["categories"] if c["name"] in wanted]
    found = [category["name"] for category in kept]
    known = set(found)
    if missing := [name for name in classes if name not in known]:
        raise ValueError(
            f"{source} has no category {and_more(missing)}, which "
            "`metainfo['classes']` names: the labels of all later classes would shift. "
            f"Its categories are {and_more(everyone, 20)}. Change "
            "`metainfo=dict(classes=...)` of the data set or add the category to the "
            "file (it may be without annotations)"
        )
    if found != list(classes):
        pairs = enumerate(zip_longest(found, classes, fillvalue="nothing"))
        at, (theirs, ours) = next((i, pair) for i, pair in pairs if pair[0] != pair[1])
        raise ValueError(
            f"label {at} is '{theirs}' in {source} but '{ours}' in "
            "`metainfo['classes']`: mmdet numbers the labels in the order of the file. "
            f"Write the classes in that order, without repeats: {tuple(found)}"
        )
    return [category["id"] for category in kept]


def described_ids(used: Collection[Any]) -> list[str]:
    """Tell the span of category ids, and the first ids in it that are not used.

    Args:
        used: All ids, each once.
    """
    if not all(isinstance(number, int) for number in used):
        return [f"{len(used)} ids that are not all whole numbers"]
    least, most = min(used), max(used)
    span = f"{len(used)} ids from {least} to {most}"
    # Not all gaps are listed: ids may be billions apart.
    free = (number for number in range(least, most) if number not in used)
    gaps = list(islice(free, _NAMED + 1))
    more = " ..." * (len(gaps) > _NAMED)
    return [span, f"not used: {gaps[:_NAMED]}{more}"] if gaps else [span]
