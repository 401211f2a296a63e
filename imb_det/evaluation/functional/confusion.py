"""Which classes a detector takes for which, with one object for one detection."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .detections import Detections
from .ground_truth import GroundTruth, is_ignored
from .matching import overlaps_of, pairs_of

__all__ = ["confusion_matrix", "group_confusion"]


def confusion_matrix(
    ground_truth: GroundTruth,
    detections: Detections,
    *,
    score_thr: float = 0.3,
    iou_thr: float = 0.5,
    unjudged: np.ndarray | None = None,
) -> np.ndarray:
    """Count true against predicted classes, background included.

    An object and a detection are matched at most once: first those of the same class,
    as for AP, then the others; in each turn the best score comes first and chooses the
    largest overlap. So a detection of the wrong class counts once, and an object that
    is found by its own class is not also confused.

    Args:
        ground_truth: Images and objects.
        detections: All that count.
        score_thr: Least score of a detection, in [0, 1]. Default: 0.3.
        iou_thr: Least overlap of a match, in (0, 1]. Default: 0.5.
        unjudged: Detections that do not count when they match nothing, bool (D,).
            None for none. Default: None.

    Returns:
        Int64 (C + 1, C + 1), rows for true and columns for predicted classes; the last
        row holds detections on the background, the last column missed objects.
        Detections on crowds and ignored objects do not count.

    Raises:
        ValueError: A threshold out of range.
    """
    if not 0 <= score_thr <= 1 or not 0 < iou_thr <= 1:
        raise ValueError(
            "`score_thr` must be in [0, 1] and `iou_thr` in (0, 1], got "
            f"{score_thr} and {iou_thr}"
        )
    keep = detections.score >= score_thr
    if unjudged is None:
        unjudged = np.zeros(len(detections), bool)
    found, unjudged = detections.take(keep), unjudged[keep]
    objects = ground_truth.annotations
    labels = np.asarray([a["category_id"] for a in objects], int)
    images = np.asarray([a["image_id"] for a in objects], int)
    ignored = np.asarray([is_ignored(a) for a in objects], bool)

    # One pair for each detection and each object of its image.
    order = np.argsort(images, kind="stable")
    ours, theirs, _ = pairs_of(found.image, images, order)
    overlap = overlaps_of(ground_truth, found, ours, theirs)
    near = overlap >= min(iou_thr, 1 - 1e-10)
    ours, theirs, overlap = ours[near], theirs[near], overlap[near]
    differs = found.label[ours] != labels[theirs]
    turns = np.lexsort((-overlap, -found.score[ours], differs, ignored[theirs]))

    partner = np.full(len(found), -1)
    taken = np.zeros(len(objects), bool)
    on_ignored = np.zeros(len(found), bool)
    for own, other in zip(ours[turns].tolist(), theirs[turns].tolist(), strict=True):
        if partner[own] >= 0:
            continue
        if ignored[other]:
            on_ignored[own] = True
        elif not taken[other]:
            partner[own], taken[other] = other, True
    background = len(ground_truth.classes)
    matrix = np.zeros((background + 1, background + 1), np.int64)
    hit = partner >= 0
    np.add.at(matrix, (labels[partner[hit]], found.label[hit]), 1)
    stray = ~hit & ~on_ignored & ~unjudged
    np.add.at(matrix, (background, found.label[stray]), 1)
    np.add.at(matrix, (labels[~taken & ~ignored], background), 1)
    return matrix


def group_confusion(
    matrix: np.ndarray, groups: Mapping[str, np.ndarray]
) -> dict[str, dict[str, int]]:
    """Sum a confusion matrix over groups of classes.

    Args:
        matrix: Of :func:`confusion_matrix`.
        groups: Class indices by the name of the group.

    Returns:
        For each group the objects that were found as their own class (``right``), as
        another of the same group (``within``), as a class of each other group (by its
        name), and missed (``background``); under ``background`` the detections on
        nothing, by group.
    """
    background = len(matrix) - 1
    sums: dict[str, dict[str, int]] = {}
    for name, members in groups.items():
        own = matrix[members]
        right = int(matrix[members, members].sum())
        sums[name] = {"right": right, "within": int(own[:, members].sum()) - right}
        for other, ids in groups.items():
            if other != name:
                sums[name][other] = int(own[:, ids].sum())
        sums[name]["background"] = int(own[:, background].sum())
    sums["background"] = {
        name: int(matrix[background, ids].sum()) for name, ids in groups.items()
    }
    return sums
