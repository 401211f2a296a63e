"""What becomes of annotations that can be read, but show no sound object: one table."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from imb_det.core.finding import Severity

__all__ = ["KINDS", "NAMES", "TOLD", "Kind", "box_kinds"]

#: Largest number in a box: its square is finite in single precision.
LARGEST = 1e9
#: Largest area that COCO's rules look at.
LARGEST_AREA = 1e10


class Kind(NamedTuple):
    """What is done with annotations of a kind, by everything in this library.

    Args:
        meaning: What is wrong with them, and what is done, for people.
        is_used: Whether they are trained on and counted, as by mmdet where it can.
        is_counted_by_lvis: Whether they are among the counts of an LVIS file, which
            are LVIS's own.
        is_judged: Whether an evaluation looks for them, as pycocotools and lvis do.
        trained_alike: Whether mmdet's own data sets do the same.
        judged_alike: Whether mmdet's own metrics do the same.
        severity: Of the finding.
    """

    meaning: str
    is_used: bool
    is_counted_by_lvis: bool
    is_judged: bool
    trained_alike: bool = True
    judged_alike: bool = True
    severity: Severity = Severity.WARNING


_EVERYWHERE = (True, True, True)
_NOWHERE = (False, False, False)
_JUDGED = (False, True, True)
#: By the code of the finding; the first that holds is told.
KINDS = {
    "unknown_image": Kind(
        "annotations of an image id that the file does not list, left out", *_NOWHERE
    ),
    "unknown_category": Kind(
        "annotations of a category id that the file does not define, left out",
        *_NOWHERE,
    ),
    "not_finite": Kind(
        "boxes with a missing or non-finite corner, removed",
        *_NOWHERE,
        trained_alike=False,
        judged_alike=False,
    ),
    "huge": Kind(
        f"boxes with a number beyond {LARGEST:.0e}, removed",
        *_NOWHERE,
        trained_alike=False,
        judged_alike=False,
    ),
    "negative": Kind(
        "boxes of negative width or height, removed", *_NOWHERE, judged_alike=False
    ),
    "no_area": Kind(
        "boxes without area, removed from training; where the file is judged, they "
        "are objects that nothing finds, as in pycocotools",
        *_JUDGED,
    ),
    "outside": Kind(
        "boxes wholly outside their image, removed from training; they are judged "
        "where the file is",
        *_JUDGED,
    ),
    "below_pixel": Kind(
        "boxes narrower or lower than one pixel, left out of training as mmdet does; "
        "they are judged where the file is",
        *_JUDGED,
    ),
    "no_mask_area": Kind(
        "annotations with an `area` of 0 or less, left out of training as mmdet does; "
        "COCO judges them where it is 0 and ignores them below, LVIS leaves them "
        "out",
        *_JUDGED,
    ),
    "bad_area": Kind(
        "annotations with an `area` that is no finite number, judged by the area of "
        "their box",
        *_EVERYWHERE,
        judged_alike=False,
    ),
    "huge_area": Kind(
        f"annotations with an `area` beyond {LARGEST_AREA:.0e}, which the rules of "
        "COCO and LVIS ignore",
        *_EVERYWHERE,
    ),
    "over_border": Kind(
        "boxes that reach over the image border, kept as they are (`Resize` clips "
        "them)",
        *_EVERYWHERE,
        severity=Severity.INFO,
    ),
}
#: Names of the kinds by the number that stands for them; 0 is a sound annotation.
NAMES = ("", *KINDS)
#: Kinds of which each annotation is named; others are too many, and do no harm.
TOLD = tuple(name for name, kind in KINDS.items() if kind.severity is Severity.WARNING)


def box_kinds(
    boxes: np.ndarray, areas: np.ndarray, widths: np.ndarray, heights: np.ndarray
) -> np.ndarray:
    """Judge boxes; those that mmdet leaves out are of a kind too.

    Args:
        boxes: x, y, w, h; float64 (n, 4), NaN for a number that is not known.
        areas: The file's areas, float64 (n,).
        widths: Of the image of each, float64 (n,); inf where it is not known.
        heights: The same.

    Returns:
        Place of the kind in :data:`NAMES`, uint8 (n,).
    """
    x, y, w, h = boxes.T
    with np.errstate(invalid="ignore", over="ignore"):
        x2, y2 = x + w, y + h
        inside_w = np.minimum(x2, widths) > np.maximum(x, 0)
        inside_h = np.minimum(y2, heights) > np.maximum(y, 0)
        over = (x < 0) | (y < 0) | (x2 > widths) | (y2 > heights)
        found = {
            "not_finite": ~np.isfinite(boxes).all(1),
            "huge": (np.abs(boxes) > LARGEST).any(1),
            "negative": (w < 0) | (h < 0),
            "no_area": (x2 <= x) | (y2 <= y),
            "outside": ~(inside_w & inside_h),
            "below_pixel": (w < 1) | (h < 1),
            "no_mask_area": areas <= 0,
            "bad_area": ~(areas < np.inf),
            "huge_area": areas > LARGEST_AREA,
            "over_border": over,
        }
    kinds = np.zeros(len(boxes), np.uint8)
    for name in reversed(found):  # the first that holds is written last
        kinds[found[name]] = NAMES.index(name)
    return kinds
