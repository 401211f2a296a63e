"""Which detection found which object: the verdict on every single detection.

faster-coco-eval keeps its verdicts to itself; the best threshold of a class, the
calibration of scores and the resampling of images need them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from faster_coco_eval import mask as mask_utils

from .accumulation import IOU_THRS
from .detections import Detections
from .ground_truth import GroundTruth, is_ignored
from .masks import encoded_mask, rle_of

__all__ = ["IGNORED", "RIGHT", "WRONG", "Matches", "match", "overlaps_of", "pairs_of"]

#: Verdicts on a detection.
WRONG, RIGHT, IGNORED = 0, 1, -1


@dataclass(frozen=True, eq=False)
class Matches:
    """Verdicts, class after class, with the best scores of a class first.

    Args:
        image: Row of the image of each detection, int32 (D,).
        label: Its class index, int32 (D,), ascending.
        score: Its score, float64 (D,), descending in each class.
        verdict: :data:`RIGHT`, :data:`WRONG` or :data:`IGNORED` at each overlap, int8
            (D, T).
        object_image: Row of the image of each object to find, (G,).
        object_label: Its class index, (G,).
        num_images: Number of images.
        num_classes: Number of classes.
    """

    image: np.ndarray
    label: np.ndarray
    score: np.ndarray
    verdict: np.ndarray
    object_image: np.ndarray
    object_label: np.ndarray
    num_images: int
    num_classes: int

    @property
    def object_count(self) -> np.ndarray:
        """Objects to find, by class, int64 (C,)."""
        return np.bincount(self.object_label, minlength=self.num_classes)

    def of_class(self, label: int) -> Matches:
        """Select one class."""
        ends = np.searchsorted(self.label, [label, label + 1])
        objects = self.object_label == label
        own = slice(*ends)
        return replace(
            self,
            image=self.image[own],
            label=self.label[own],
            score=self.score[own],
            verdict=self.verdict[own],
            object_image=self.object_image[objects],
            object_label=self.object_label[objects],
        )


def match(
    ground_truth: GroundTruth,
    detections: Detections,
    *,
    iou_thrs: Sequence[float] | np.ndarray = IOU_THRS,
    max_dets: int | None = None,
    unjudged: np.ndarray | None = None,
) -> Matches:
    """Judge every detection by COCO's rules.

    In each image and class the detections choose in the order of their scores: the
    object with the largest overlap that is not taken, or else a crowd or an ignored
    object, of which only a crowd can be chosen again. The work is done for the best
    detection of all images and classes at once, then for the second best, and so on.

    Args:
        ground_truth: Images and objects.
        detections: All that count.
        iou_thrs: Overlaps at which a detection is right, in (0, 1], (T,).
        max_dets: Detections of a class in an image that count; all if None. Default:
            None.
        unjudged: Detections that are ignored when they match nothing, bool (D,).
            None for none. Default: None.

    Returns:
        The verdicts.
    """
    num_classes = len(ground_truth.classes)
    if unjudged is None:
        unjudged = np.zeros(len(detections), bool)
    group = detections.label.astype(np.int64) * len(ground_truth.images)
    group += detections.image
    order = np.lexsort((-detections.score, group))
    group = group[order]
    rank = np.arange(len(group)) - np.searchsorted(group, group)
    if max_dets is not None:
        order, group, rank = (a[rank < max_dets] for a in (order, group, rank))
    found, unjudged = detections.take(order), unjudged[order]

    objects = ground_truth.annotations
    labels = np.asarray([a["category_id"] for a in objects], np.int64)
    images = np.asarray([a["image_id"] for a in objects], np.int64)
    ignored = np.asarray([is_ignored(a) for a in objects], bool)
    of_object = labels * len(ground_truth.images) + images
    by_group = np.lexsort((ignored, of_object))  # those to find come first
    ours, theirs, size = pairs_of(group, of_object, by_group)
    start = np.cumsum(size) - size
    overlaps = overlaps_of(ground_truth, found, ours, theirs)
    crowd = np.asarray([a["iscrowd"] for a in objects], bool)
    needed = np.minimum(np.asarray(iou_thrs, float), 1 - 1e-10)

    verdict = np.full((len(group), len(needed)), WRONG, np.int8)
    verdict[unjudged] = IGNORED
    taken = np.zeros((len(objects), len(needed)), bool)
    rivals = np.flatnonzero(size)
    in_turn = rivals[np.argsort(rank[rivals], kind="stable")]
    turns = np.searchsorted(rank[in_turn], np.arange(rank.max(initial=-1) + 2))
    for begin, end in pairwise(turns.tolist()):
        if begin == end:
            break
        now = in_turn[begin:end]
        heads = np.concatenate([[0], np.cumsum(size[now])])
        pairs = np.arange(heads[-1]) - np.repeat(heads[:-1], size[now])
        pairs += np.repeat(start[now], size[now])
        their, overlap = theirs[pairs], overlaps[pairs, None]
        free = (overlap >= needed) & (~taken[their] | crowd[their, None])
        chosen = _choose(free & ~ignored[their, None], overlap, heads[:-1])
        spare = _choose(free & ignored[their, None], overlap, heads[:-1])
        for choice, decision in ((spare, IGNORED), (chosen, RIGHT)):
            which, at = np.nonzero(choice >= 0)
            if decision == IGNORED:  # only where no object to find was left
                keep = chosen[which, at] < 0
                which, at = which[keep], at[keep]
            verdict[now[which], at] = decision
            taken[their[choice[which, at]], at] = True
    by_class = np.lexsort((-found.score, found.label))
    return Matches(
        found.image[by_class],
        found.label[by_class],
        found.score[by_class],
        verdict[by_class],
        images[~ignored],
        labels[~ignored],
        len(ground_truth.images),
        num_classes,
    )


def pairs_of(
    own: np.ndarray, others: np.ndarray, order: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pair each detection with each object of the same image, or image and class.

    Args:
        own: What pairs belong by, of each detection; int (D,).
        others: The same of each object; int (G,).
        order: Objects by it, ascending; int (G,).

    Returns:
        Detection and object of each pair, detection after detection and objects in
        their order, int (P,), and the number of pairs of each detection, int (D,).
    """
    first, last = (
        np.searchsorted(others[order], own, side) for side in ("left", "right")
    )
    size = last - first
    ours = np.repeat(np.arange(len(own)), size)
    step = np.arange(len(ours)) - np.repeat(np.cumsum(size) - size, size)
    return ours, order[np.repeat(first, size) + step], size


def _choose(allowed: np.ndarray, overlap: np.ndarray, heads: np.ndarray) -> np.ndarray:
    """Return the pair of largest overlap for each detection, -1 for none.

    Args:
        allowed: Pairs that may be chosen, (P, T).
        overlap: Of each pair, (P, 1).
        heads: First pair of each detection, (n,).

    Returns:
        Indices of pairs, the last one of equal overlaps, (n, T).
    """
    if not allowed.any():
        return np.full((len(heads), allowed.shape[1]), -1)
    values = np.where(allowed, overlap, -1.0)
    best = np.maximum.reduceat(values, heads)
    counts = np.diff(np.append(heads, len(values)))
    is_best = allowed & (values == np.repeat(best, counts, axis=0))
    number = np.arange(len(values))[:, None]
    return np.maximum.reduceat(np.where(is_best, number, -1), heads)


def overlaps_of(
    ground_truth: GroundTruth, found: Detections, ours: np.ndarray, theirs: np.ndarray
) -> np.ndarray:
    """Return the overlap of each pair of a detection and an object, (P,)."""
    objects = ground_truth.annotations
    if found.mask is not None:
        return _mask_overlaps(ground_truth, found, found.mask, ours, theirs)
    boxes = np.asarray([a["bbox"] for a in objects], float).reshape(-1, 4)[theirs]
    crowd = np.asarray([a["iscrowd"] for a in objects], bool)[theirs]
    own = found.xywh[ours]
    sides = np.minimum(own[:, :2] + own[:, 2:], boxes[:, :2] + boxes[:, 2:])
    sides -= np.maximum(own[:, :2], boxes[:, :2])
    shared = np.where((sides > 0).all(1), sides.prod(1), 0)
    area = own[:, 2:].prod(1)
    union = np.where(crowd, area, area + boxes[:, 2:].prod(1) - shared)
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _mask_overlaps(
    ground_truth: GroundTruth,
    found: Detections,
    masks: np.ndarray,
    ours: np.ndarray,
    theirs: np.ndarray,
) -> np.ndarray:
    """Return the overlap of each pair of masks, (P,)."""
    overlaps = np.zeros(len(ours))
    encoded: dict[int, dict] = {}
    for index in np.unique(theirs).tolist():
        annotation = ground_truth.annotations[index]
        image = ground_truth.images[annotation["image_id"]]
        encoded[index] = encoded_mask(annotation["segmentation"], image)
    # The detections of a class in an image are neighbours, with the same objects.
    keys = np.stack([found.label, found.image])[:, ours]
    ends = np.flatnonzero((np.diff(keys, prepend=-1) != 0).any(0))
    for begin, end in pairwise([*ends.tolist(), len(ours)]):
        rows = np.unique(ours[begin:end]).tolist()
        image = ground_truth.images[int(found.image[rows[0]])]
        objects = theirs[begin : begin + (end - begin) // len(rows)].tolist()
        overlaps[begin:end] = mask_utils.iou(
            [rle_of(masks[row], image) for row in rows],
            [encoded[index] for index in objects],
            [int(ground_truth.annotations[index]["iscrowd"]) for index in objects],
        ).ravel()
    return overlaps
