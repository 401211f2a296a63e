"""Images that show what a detector finds, what it misses and what it invents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imb_det.evaluation.functional import Detections, GroundTruth
from imb_det.evaluation.functional.ground_truth import is_ignored
from imb_det.evaluation.functional.matches import RIGHT, Judgement

__all__ = ["Example", "make_example", "pick_images"]


@dataclass(frozen=True)
class Example:
    """One image with its objects and the detections above a score.

    Args:
        image: Path of the image.
        objects: Boxes to find (x1, y1, x2, y2), float64 (G, 4); crowds left out.
        object_labels: int64 (G,).
        is_found: Whether a detection has the object, bool (G,).
        boxes: Detections, best first, float64 (D, 4).
        labels: int64 (D,).
        scores: float64 (D,).
        is_right: Whether the detection has an object that no better one has, bool (D,).
    """

    image: Path
    objects: np.ndarray
    object_labels: np.ndarray
    is_found: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    is_right: np.ndarray


def pick_images(
    ground_truth: GroundTruth,
    image_count: np.ndarray | None = None,
    num_images: int = 6,
) -> list[int]:
    """Choose images: half for the rarest classes, half spread over the set.

    Args:
        ground_truth: Images to choose from.
        image_count: Training images of each class, (C,); None to spread all images.
        num_images: Images wanted, >= 1. Default: 6.

    Returns:
        Rows of images with objects, each once: those of rare classes first.
    """
    by_class: dict[int, list[int]] = {}
    for annotation in ground_truth.annotations:
        if not is_ignored(annotation):
            by_class.setdefault(annotation["category_id"], []).append(
                annotation["image_id"]
            )
    chosen: list[int] = []
    if image_count is not None:
        for label in sorted(by_class, key=lambda label: (image_count[label], label)):
            fresh = [row for row in by_class[label] if row not in chosen]
            if fresh and len(chosen) < (num_images + 1) // 2:
                chosen.append(fresh[0])
    rest = sorted({row for rows in by_class.values() for row in rows} - set(chosen))
    wanted = min(num_images - len(chosen), len(rest))
    return chosen + [
        rest[(2 * i + 1) * len(rest) // (2 * wanted)] for i in range(wanted)
    ]


def make_example(
    ground_truth: GroundTruth,
    row: int,
    image: str | Path,
    detections: Detections,
    judged: Judgement,
    score_thr: float = 0.3,
) -> Example:
    """Show the verdicts on one image, at an overlap of 0.5 or the least one judged.

    Args:
        ground_truth: Ground truth that holds the image.
        row: Row of the image in it.
        image: Path of the image.
        detections: Of all images.
        judged: Verdicts on those that count.
        score_thr: Least score of a detection that is kept, 0 to 1. Default: 0.3.

    Returns:
        The image with both sides, best score first; of equal scores, the lowest class.
    """
    matches = judged.whole
    column = int(np.argmin(np.abs(judged.iou_thrs - 0.5)))
    to_find = [ground_truth.annotations[i] for i in judged.to_find.tolist()]
    own = np.flatnonzero([a["image_id"] == row for a in to_find])
    objects = np.array([to_find[i]["bbox"] for i in own], np.float64).reshape(-1, 4)
    objects[:, 2:] += objects[:, :2]
    finder = judged.found_by[own, column]
    is_found = finder >= 0
    is_found[is_found] = matches.score[finder[is_found]] >= score_thr

    kept = np.flatnonzero((matches.image == row) & (matches.score >= score_thr))
    kept = kept[np.argsort(-matches.score[kept], kind="stable")]
    chosen = detections.take(judged.index[kept])
    return Example(
        Path(image),
        objects,
        np.array([to_find[i]["category_id"] for i in own], np.int64),
        is_found,
        chosen.bbox.astype(np.float64),
        chosen.label.astype(np.int64),
        chosen.score,
        matches.verdict[kept, column] == RIGHT,
    )
