"""What the masks of an annotation file of COCO are: outlines, run lengths, or none."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imb_det.core.finding import Finding, Severity

from .coco_content import CocoContent
from .coco_faults import FaultList
from .run_length_code import pixels_of

__all__ = [
    "BAD_POLYGON",
    "NO_OUTLINE",
    "MaskVerdicts",
    "fault_of_run_lengths",
    "is_ignored_mask",
    "is_safe_in_mmdet",
    "judge_masks",
    "sound_parts",
]

#: Largest coordinate of a point: the library in C walks outlines in fifths of a pixel.
LARGEST = 1e5
NO_OUTLINE = "no_outline"
BAD_POLYGON = "bad_polygon"
_MEANINGS = {
    NO_OUTLINE: "masks that show nothing (no polygon with an even count of six or more "
    f"finite numbers up to {LARGEST:.0e}): their objects are ignored in training and "
    "not counted, and are not judged by masks",
    BAD_POLYGON: "polygons with numbers that are not finite or beyond "
    f"{LARGEST:.0e}, left out of their masks",
}


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


def is_safe_in_mmdet(polygons: Sequence[Any]) -> bool:
    """Tell whether mmdet's pipeline leaves out all polygons that cannot be drawn.

    It goes by their length alone, and draws numbers that are not finite to no end.
    """
    return all(len(p) < 6 or len(p) % 2 or _is_sound(p) for p in polygons)


def _no_polygons(mask: Any) -> str:
    return (
        "`segmentation` must be run lengths or a list of polygons [x1, y1, x2, y2, "
        f"...], got {mask!r:.80}"
    )


def fault_of_run_lengths(mask: Any, size: Sequence[float]) -> str:
    """Say why a mask is no run lengths, empty if it can be read.

    Args:
        mask: As in the file.
        size: Height and width of the image, inf where it is not known.
    """
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


@dataclass(frozen=True)
class MaskVerdicts:
    """What the masks of a file are, for one use of it.

    Args:
        faults: Objects without a mask and masks that are none; errors, as neither a
            pipeline nor a metric could go on.
        hidden: Places of annotations of which no polygon can be drawn.
        trimmed: Polygons that can be drawn, by the place of an annotation that has
            others as well.
        encoded: Places of annotations with run lengths.
        findings: By the place of the annotation, a warning for each that is hidden, or
            has polygons with numbers that are not finite beside others.
    """

    faults: list[Finding]
    hidden: list[int]
    trimmed: dict[int, list[Any]]
    encoded: list[int]
    findings: dict[int, Finding]


def judge_masks(
    file: CocoContent, classes: Collection[str] | None, what: str
) -> MaskVerdicts:
    """Look at the masks of a file.

    Args:
        file: With the masks.
        classes: Names of the classes in use; all if None.
        what: ``is_used`` for a training, ``is_judged`` for an evaluation: the
            annotations of which a :class:`~.coco_kinds.Kind` says so.
    """
    faults = FaultList(file.source)
    hidden, encoded, trimmed, findings = [], [], {}, {}
    heights, widths = file.sides("height").tolist(), file.sides("width").tolist()
    chosen = file.of_classes(classes) & file.are(what)
    if what == "is_used":
        chosen &= ~file.flags("ignore")
    for index in np.flatnonzero(chosen).tolist():
        mask = file.annotations[index].get("segmentation")
        if mask is None or mask in ([], {}):
            text = "has no mask" if mask is None else f"`segmentation` is {mask!r}"
            faults.add("no_mask", file.place_of(index), text)
        elif isinstance(mask, list):
            try:
                parts = sound_parts(mask)
            except TypeError:
                faults.add("mask", file.place_of(index), _no_polygons(mask))
                continue
            if not parts:
                hidden.append(index)
                findings[index] = _finding(file, index, NO_OUTLINE)
            elif len(parts) < len(mask):
                trimmed[index] = parts
                if not is_safe_in_mmdet(mask):  # those too short do no harm
                    findings[index] = _finding(file, index, BAD_POLYGON)
        else:
            encoded.append(index)
            row = file.image_rows[index]
            if text := fault_of_run_lengths(mask, (heights[row], widths[row])):
                faults.add("mask", file.place_of(index), text)
    return MaskVerdicts(faults.everything(), hidden, trimmed, encoded, findings)


def _finding(file: CocoContent, index: int, code: str) -> Finding:
    annotation = file.annotations[index]
    name = file.categories[file.category_rows[index]]["name"]
    evidence = f"{name} {annotation['segmentation']!r:.80}"
    where = file.place_of(index)
    return Finding(code, Severity.WARNING, _MEANINGS[code], where, evidence)
