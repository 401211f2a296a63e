"""What the masks of an annotation file of COCO are: outlines, run lengths, or none."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from imb_det.core.finding import Finding, Severity

from .coco_content import CocoContent
from .coco_faults import FaultList
from .run_length_code import pixels_of

__all__ = [
    "NO_OUTLINE",
    "is_ignored_mask",
    "is_skipped_by_mmdet",
    "mask_faults",
    "mask_findings",
    "sound_parts",
    "without_outline",
]

#: Largest coordinate of a point: the library in C walks outlines in fifths of a pixel.
LARGEST = 1e5
NO_OUTLINE = "no_outline"
_MEANING = (
    "masks that show nothing (no polygon with an even count of six or more finite "
    f"numbers up to {LARGEST:.0e}): their objects are ignored in training and not "
    "counted, and are not judged by masks"
)


def sound_parts(polygons: Sequence[Any]) -> list[Any]:
    """Return the polygons that can be drawn: an even count of six or more numbers.

    Args:
        polygons: x1, y1, x2, y2, ... of each.

    Raises:
        TypeError: One that is no list of numbers.
    """
    return [part for part in polygons if _is_sound(part)]


def _is_sound(part: Any) -> bool:
    if not isinstance(part, (list, tuple)):
        raise TypeError
    # A sum is the quickest look for what is no number, or not a finite one.
    total = sum(part)
    if len(part) < 6 or len(part) % 2 or total != total:
        return False
    return bool(max(part) <= LARGEST and min(part) >= -LARGEST)


def is_ignored_mask(mask: Any, as_polygons: bool) -> bool:
    """Tell whether a pipeline ignores an object, because its mask shows nothing.

    mmdet's ``LoadAnnotations(with_mask=True)`` does so. Where a mask is neither
    polygons nor run lengths, the answer is no: it is refused elsewhere.

    Args:
        mask: Of a record of a data set.
        as_polygons: Whether masks stay polygons (``poly2mask=False``), so that run
            lengths cannot be loaded.
    """
    if not isinstance(mask, list):
        return as_polygons and isinstance(mask, dict)
    try:
        return not sound_parts(mask)
    except TypeError:
        return False


def is_skipped_by_mmdet(polygons: Sequence[Any]) -> bool:
    """Tell whether mmdet's pipeline draws none of the polygons, as they are too short.

    It would draw others, that are not finite or huge, to no end.
    """
    return all(len(part) < 6 or len(part) % 2 for part in polygons)


def _fault(mask: Any, size: Sequence[float]) -> str:
    """Say why a mask is none, empty if it can be read.

    Args:
        mask: As in the file.
        size: Height and width of the image, inf where it is not known.
    """
    if isinstance(mask, list):
        try:
            sound_parts(mask)
        except TypeError:
            return (
                "`segmentation` must be run lengths or a list of polygons [x1, y1, x2, "
                f"y2, ...], got {mask!r:.80}"
            )
        return ""
    given = mask if isinstance(mask, Mapping) else {}
    own, counts = given.get("size"), given.get("counts")
    is_size = isinstance(own, list) and [type(side) for side in own] == [int, int]
    if own is None or not is_size or not isinstance(counts, (list, str)):
        return (
            "`segmentation` must be a list of polygons, or run lengths with `size`, "
            f"[height, width], and `counts`, got {mask!r:.80}"
        )
    if any(math.isfinite(b) and a != b for a, b in zip(own, size, strict=True)):
        return f"its mask is of {own} (height, width), but the image is {list(size)}"
    pixels = _pixels(counts)
    if pixels is None:
        return f"the run lengths of its mask are malformed, got {counts!r:.80}"
    if pixels != own[0] * own[1]:
        return f"the run lengths of its mask are for {pixels:.0f} pixels, not {own}"
    return ""


def _pixels(counts: Any) -> float | None:
    """Return the pixels of run lengths; None where they are malformed."""
    if isinstance(counts, list):
        if not set(map(type, counts)) <= {int} or min(counts, default=0) < 0:
            return None
        return float(sum(counts))
    if not counts.isascii():
        return None
    total, _, is_valid = pixels_of([counts.encode()])
    return float(total[0]) if is_valid.all() else None


def _with_masks(
    file: CocoContent, classes: Collection[str] | None, what: str
) -> Iterable[tuple[int, Any]]:
    chosen = file.of_classes(classes) & file.are(what)
    if what == "is_used":
        chosen &= ~file.flags("ignore")
    for index in np.flatnonzero(chosen).tolist():
        yield index, file.annotations[index].get("segmentation")


def mask_faults(
    file: CocoContent, classes: Collection[str] | None, what: str
) -> list[Finding]:
    """List objects without a mask, and masks that are none.

    Args:
        file: With the masks.
        classes: Names of the classes in use; all if None.
        what: ``is_used`` for a training, ``is_judged`` for an evaluation.

    Returns:
        Errors, as neither a pipeline nor a metric could go on.
    """
    faults = FaultList(file.source)
    heights, widths = file.sides("height").tolist(), file.sides("width").tolist()
    for index, mask in _with_masks(file, classes, what):
        row = file.image_rows[index]
        if mask in (None, [], {}):
            text = f"`segmentation` is {mask!r}" if mask is not None else "has no mask"
            faults.add("no_mask", file.place_of(index), text)
        elif text := _fault(mask, (heights[row], widths[row])):
            faults.add("mask", file.place_of(index), text)
    return faults.everything()


def without_outline(
    file: CocoContent, classes: Collection[str] | None, what: str
) -> list[int]:
    """List the annotations of which the polygons show nothing.

    Args:
        file: With the masks.
        classes: Names of the classes in use; all if None.
        what: As in :func:`mask_faults`.
    """
    masks = _with_masks(file, classes, what)
    return [index for index, mask in masks if mask and is_ignored_mask(mask, False)]


def mask_findings(file: CocoContent, indices: Iterable[int]) -> list[Finding]:
    """Describe what :func:`without_outline` has found."""
    found = []
    for index in indices:
        annotation = file.annotations[index]
        name = file.categories[file.category_rows[index]]["name"]
        evidence = f"{name} {annotation['segmentation']!r:.80}"
        where = file.place_of(index)
        found.append(Finding(NO_OUTLINE, Severity.WARNING, _MEANING, where, evidence))
    return found
