"""Which detection found which object: the one matching, for all rules."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .assignment import assign
from .detections import Detections
from .ground_truth import GroundTruth
from .matches import IGNORED, WRONG, Judgement, Matches, best_in
from .objects import Objects, ends_of_areas, objects_of
from .overlaps import Pairs, overlaps_of, pairs_of

__all__ = ["IOU_THRS", "judge", "judgement", "match"]

#: COCO's overlaps, 0.5, 0.55, ... 0.95.
IOU_THRS = np.linspace(0.5, 0.95, 10)


def match(
    ground_truth: GroundTruth,
    detections: Detections,
    *,
    iou_thrs: Sequence[float] | np.ndarray = IOU_THRS,
    max_dets: int | None = None,
    unjudged: np.ndarray | None = None,
) -> Matches:
    """Judge every detection for objects of all areas; see :func:`judge`."""
    return judge(
        ground_truth,
        detections,
        iou_thrs=iou_thrs,
        max_dets=max_dets,
        unjudged=unjudged,
        sizes=False,
    ).whole


def judge(
    ground_truth: GroundTruth,
    detections: Detections,
    *,
    iou_thrs: Sequence[float] | np.ndarray = IOU_THRS,
    max_dets: int | None = None,
    unjudged: np.ndarray | None = None,
    sizes: bool = True,
) -> Judgement:
    """Judge every detection by COCO's rules.

    In each image and class the detections choose in the order of their scores: the
    object with the largest overlap that is not taken, or else a crowd or an ignored
    object, of which only a crowd can be chosen again.

    Args:
        ground_truth: Images and objects.
        detections: All that count; those of equal scores choose in their order.
        iou_thrs: Overlaps at which a detection is right, in (0, 1], (T,).
        max_dets: Detections of a class in an image that count; all if None. Default:
            None.
        unjudged: Detections that are ignored when they match nothing, bool (D,).
            None for none. Default: None.
        sizes: Whether small, medium and large objects are also judged apart: objects
            of other sizes are ignored then, and so are detections of other sizes that
            match nothing. Default: True.

    Returns:
        The verdicts.

    Source: Lin et al., Microsoft COCO (2014), as coded in pycocotools. Deviation: see
    :func:`.evaluate_coco`, for annotations with the id 0.
    """
    num_images = len(ground_truth.images)
    index = np.lexsort((-detections.score, detections.label))
    group = detections.label[index].astype(np.int64) * num_images
    group += detections.image[index]
    if max_dets is not None:
        best = best_in(group, max_dets)
        index, group = index[best], group[best]
    objects = objects_of(ground_truth)
    ours, theirs = pairs_of(group, objects.label * num_images + objects.image)
    overlaps = overlaps_of(ground_truth, objects, detections, index[ours], theirs)
    ends = ends_of_areas(sizes)
    area = detections.area[index]
    unmatched = (area < ends[:, :1]) | (area > ends[:, 1:])
    if unjudged is not None:
        unmatched |= unjudged[index]
    needed = np.asarray(iou_thrs, float)
    ignored = objects.ignored_in(ends)
    verdicts, found_by = assign(
        Pairs(ours, theirs, overlaps),
        objects,
        ignored,
        group,
        np.where(unmatched, IGNORED, WRONG)[:, None],
        np.minimum(needed, 1 - 1e-10),
    )
    return judgement(
        detections,
        index,
        verdicts,
        objects,
        ignored,
        found_by,
        needed,
        (num_images, len(ground_truth.classes)),
        np.arange(len(objects)),
    )


def judgement(
    detections: Detections,
    index: np.ndarray,
    verdicts: np.ndarray,
    objects: Objects,
    ignored: np.ndarray,
    found_by: np.ndarray,
    iou_thrs: np.ndarray,
    numbers: tuple[int, int],
    rows: np.ndarray,
) -> Judgement:
    """Put verdicts beside what they are on.

    Args:
        detections: All that were given.
        index: Those that were judged, in the order of the verdicts, (D,).
        verdicts: Int8 (A, T, D).
        objects: Of the ground truth.
        ignored: Which of them are nothing to find, bool (A, G).
        found_by: Of :func:`assign`.
        iou_thrs: Overlaps, (T,).
        numbers: Of images and of classes.
        rows: Of each object among the annotations, (G,).
    """
    on = (detections.image[index], detections.label[index], detections.score[index])
    by_area = tuple(
        Matches(*on, own.T, objects.image[~skip], objects.label[~skip], *numbers)
        for own, skip in zip(verdicts, ignored, strict=True)
    )
    kept = ~ignored[0]
    return Judgement(iou_thrs, by_area, index, found_by[kept], rows[kept])
