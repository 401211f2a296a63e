"""Which classes a detector takes for which, with one object for one detection."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.sparse import csr_matrix

from .detections import Detections
from .ground_truth import GroundTruth
from .matches import IGNORED, Judgement
from .objects import objects_of
from .overlaps import Pairs, overlaps_of, pairs_of

__all__ = ["confusion_matrix", "group_confusion"]


def confusion_matrix(
    ground_truth: GroundTruth,
    detections: Detections,
    judged: Judgement,
    *,
    score_thr: float = 0.3,
    iou_thr: float = 0.5,
) -> csr_matrix:
    """Count true against predicted classes, background included.

    An object and a detection are matched at most once: those of the same class as for
    AP, and what is left over with other classes; there the best score comes first and
    chooses the largest overlap. So a detection of the wrong class counts once, and an
    object that is found by its own class is not also confused.

    Args:
        ground_truth: Images and objects.
        detections: All of them.
        judged: Verdicts on those that count.
        score_thr: Least score of a detection, in [0, 1]. Default: 0.3.
        iou_thr: Least overlap of a match, one of the verdicts'. Default: 0.5.

    Returns:
        Sparse, int64 (C + 1, C + 1), rows for true and columns for predicted classes;
        the last row holds detections on the background, the last column missed objects.
        Detections on crowds and ignored objects do not count. Of many classes only few
        are taken for one another, and all pairs of them would fill the memory.

    Raises:
        ValueError: A score out of range, or an overlap that was not judged.
    """
    if not 0 <= score_thr <= 1:
        raise ValueError(f"`score_thr` must be in [0, 1], got {score_thr}")
    column, matches = judged.column(iou_thr), judged.whole
    counts = matches.score >= score_thr
    objects = objects_of(ground_truth)
    # Which object each detection has, and whether one has it: those of AP first.
    partner = np.full(len(matches.label), -1)
    finder = judged.found_by[:, column]
    has = (finder >= 0) & counts[np.maximum(finder, 0)] if len(counts) else finder >= 0
    partner[finder[has]] = judged.to_find[has]
    ignored = np.ones(len(objects), bool)
    ignored[judged.to_find] = False
    free = ~ignored
    free[judged.to_find[has]] = False

    left = np.flatnonzero(counts & (partner < 0))
    rest = detections.take(judged.index[left])
    ours, theirs = pairs_of(rest.image, objects.image)
    overlap = overlaps_of(ground_truth, objects, rest, ours, theirs)
    pairs = Pairs(ours, theirs, overlap).take(overlap >= min(iou_thr, 1 - 1e-10))
    on_ignored = np.zeros(len(matches.label), bool)
    on_ignored[left[pairs.ours[ignored[pairs.theirs]]]] = True
    pairs = pairs.take(free[pairs.theirs])
    turns = np.lexsort((-pairs.overlap, -rest.score[pairs.ours]))
    own, others = left[pairs.ours[turns]].tolist(), pairs.theirs[turns].tolist()
    for detection, other in zip(own, others, strict=True):
        if partner[detection] < 0 and free[other]:
            partner[detection], free[other] = other, False

    background = len(ground_truth.classes)
    hit = partner >= 0
    is_wrong = matches.verdict[:, column] != IGNORED
    stray = matches.label[counts & ~hit & ~on_ignored & is_wrong]
    missed = objects.label[free]
    true = [objects.label[partner[hit]], np.full(len(stray), background), missed]
    predicted = [matches.label[hit], stray, np.full(len(missed), background)]
    places = np.concatenate(true), np.concatenate(predicted)
    ones = np.ones(len(places[0]), np.int64)
    return csr_matrix((ones, places), shape=(background + 1, background + 1))


def group_confusion(
    matrix: csr_matrix, groups: Mapping[str, np.ndarray]
) -> dict[str, dict[str, int]]:
    """Sum a confusion matrix over groups of classes.

    Args:
        matrix: Of :func:`confusion_matrix`.
        groups: Class indices by the name of the group; no class is in two of them.

    Returns:
        For each group the objects that were found as their own class (``right``), as
        another of the same group (``within``), as a class of each other group (by its
        name), and missed (``background``); under ``background`` the detections on
        nothing, by group.
    """
    background = matrix.shape[0] - 1
    names = [*groups, "background"]
    group = np.full(background + 1, len(names))  # classes of no group come last
    for number, members in enumerate(groups.values()):
        group[members] = number
    group[background] = len(groups)
    pairs = matrix.tocoo()
    table = np.zeros((len(names) + 1, len(names) + 1), np.int64)
    np.add.at(table, (group[pairs.row], group[pairs.col]), pairs.data)
    is_right = pairs.row == pairs.col
    right = np.zeros(len(names) + 1, np.int64)
    np.add.at(right, group[pairs.row[is_right]], pairs.data[is_right])
    sums: dict[str, dict[str, int]] = {}
    for number, name in enumerate(groups):
        own = {"right": int(right[number])}
        own["within"] = int(table[number, number] - right[number])
        others = (n for n in range(len(names)) if n != number)
        sums[name] = own | {names[n]: int(table[number, n]) for n in others}
    sums["background"] = {
        name: int(table[len(groups), number]) for number, name in enumerate(groups)
    }
    return sums
