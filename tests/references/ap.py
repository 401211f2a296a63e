"""COCO's average precision in plain loops, written from the rules."""

from __future__ import annotations

import numpy as np

IOU_THRS = [0.5 + 0.05 * i for i in range(10)]


def overlap(box, other, other_is_crowd):
    """Share of the union, for a crowd of the first box alone; boxes x, y, w, h."""
    shared = 1.0
    for axis in (0, 1):
        low = max(box[axis], other[axis])
        high = min(box[axis] + box[axis + 2], other[axis] + other[axis + 2])
        shared *= max(high - low, 0.0)
    area, other_area = box[2] * box[3], other[2] * other[3]
    return shared / (area if other_is_crowd else area + other_area - shared)


def match(objects, detections, thr):
    """Judge the detections of one class in one image: right, wrong or ignored.

    Args: objects (box, is_crowd), detections (box, score) with the best first.
    """
    taken = [False] * len(objects)
    verdicts = []
    for box, _ in detections:
        best, best_overlap = None, min(thr, 1 - 1e-10)
        # First the objects to find; a crowd only if none of them fits.
        for crowds in (False, True):
            for i, (other, is_crowd) in enumerate(objects):
                if is_crowd != crowds or (taken[i] and not is_crowd):
                    continue
                found = overlap(box, other, is_crowd)
                if found >= best_overlap:
                    best, best_overlap = i, found
            if best is not None:
                break
        if best is None:
            verdicts.append("wrong")
        elif objects[best][1]:
            verdicts.append("ignored")
        else:
            taken[best] = True
            verdicts.append("right")
    return verdicts


def average_precision(judged, total):
    """Mean precision at 101 levels of recall.

    Args: judged, (score, verdict) of which the first of equal scores comes first;
    total, objects to find.
    """
    right = wrong = 0
    points = []
    for _, verdict in sorted(judged, key=lambda pair: -pair[0]):
        right += verdict == "right"
        wrong += verdict == "wrong"
        if verdict != "ignored":
            points.append((right / total, right / (right + wrong)))
    levels = np.linspace(0, 1, 101)
    reached = [[p for r, p in points if r >= level] for level in levels]
    return sum(max(found, default=0.0) for found in reached) / 101


def class_ap(images, thr, max_det=100):
    """AP and recall of one class at one overlap; None where nothing is to be found.

    Args: images, for each one the objects and detections as for ``match``.
    """
    judged = []
    total = 0
    for objects, detections in images:
        total += sum(not is_crowd for _, is_crowd in objects)
        best = sorted(detections, key=lambda detection: -detection[1])[:max_det]
        verdicts = match(objects, best, thr)
        judged += [(d[1], v) for d, v in zip(best, verdicts, strict=True)]
    if total == 0:
        return None, None
    right = sum(verdict == "right" for _, verdict in judged)
    return average_precision(judged, total), right / total


def mean_ap(classes_of_images, members, iou_thrs=None):
    """AP, mean over the classes ``members`` and all overlaps; None without object.

    Args: classes_of_images, for each class the images as for ``class_ap``.
    """
    values = []
    for label in members:
        for thr in iou_thrs or IOU_THRS:
            value, _ = class_ap(classes_of_images[label], thr)
            if value is not None:
                values.append(value)
    return sum(values) / len(values) if values else None
