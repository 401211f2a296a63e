"""Average precision by the rules of Pascal VOC as one function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .assignment import assign
from .detections import Detections
from .figures import check_overlaps, span_of
from .ground_truth import GroundTruth
from .matches import IGNORED, RIGHT, WRONG, Judgement
from .matching import judgement
from .objects import Objects
from .overlaps import Pairs, pairs_of
from .precision_recall import best_f1, recall_of
from .results import EvalResults, nan_mean
from .voc_boxes import VocBoxes, voc_detections, voc_ground_truth

__all__ = ["VocRules", "evaluate_voc"]


@dataclass(frozen=True)
class VocRules:
    """The rules of Pascal VOC.

    Args:
        iou_thrs: Overlaps at which a detection is right. Default: (0.5,).
        eval_mode: ``11points``, the mean of the best precision at recall 0, 0.1, ...
            1, as VOC 2007 has it, or ``area``, the area under the curve, as VOC 2010
            to 2012. Default: ``11points``.
        use_legacy_coordinate: Whether a box from x1 to x2 is x2 - x1 + 1 wide, as in
            VOC's own code, rather than x2 - x1. Default: True.
        scale_range: Least and largest square root of the area of the boxes that
            count; all if None. Default: None.

    Raises:
        ValueError: Another ``eval_mode``, or an overlap out of range.
    """

    iou_thrs: Sequence[float] = (0.5,)
    eval_mode: str = "11points"
    use_legacy_coordinate: bool = True
    scale_range: tuple[float, float] | None = None

    name: ClassVar[str] = "VOC"

    def __post_init__(self) -> None:
        check_overlaps(self.iou_thrs)
        if self.eval_mode not in ("11points", "area"):
            raise ValueError(
                f"`eval_mode` must be '11points' or 'area', got {self.eval_mode!r}"
            )

    @property
    def headline(self) -> Mapping[str, str]:
        """Figures that a report begins with, and their keys in the summary."""
        names = (f"AP{int(threshold * 100):02d}" for threshold in self.iou_thrs)
        return {"AP": "mAP", **{name: name for name in names}}

    @property
    def description(self) -> str:
        """What the figures of a report are."""
        how = {"11points": "11 levels of recall", "area": "area under the curve"}
        return (
            f"AP by VOC's rules (IoU {span_of(self.iou_thrs)}, "
            f"{how[self.eval_mode]}); difficult boxes left out"
        )

    def judge(self, ground_truth: GroundTruth, detections: Detections) -> Judgement:
        """Match detections; see :func:`evaluate_voc`.

        Each detection has one choice, the first of the objects that it overlaps most;
        a difficult one any number of detections may have.

        Args:
            ground_truth: Images and objects, difficult ones as crowds.
            detections: All that count.
        """
        num_images, needed = len(ground_truth.images), np.asarray(self.iou_thrs, float)
        low, high = -np.inf, np.inf
        if self.scale_range is not None:
            low, high = np.square(self.scale_range)
        found = VocBoxes.of_objects(ground_truth, self.use_legacy_coordinate)
        ignored = ~found.is_between(low, high) | found.difficult
        objects = Objects(found.image, found.label, found.area, ignored, ignored)
        # Equal scores in the order of the images.
        index = np.lexsort((-detections.score, detections.label))
        own = VocBoxes.of_detections(detections.take(index), self.use_legacy_coordinate)
        group = own.label * num_images + own.image
        ours, theirs = pairs_of(group, found.label * num_images + found.image)
        overlap = own.overlaps(ours, found, theirs)
        pairs = Pairs(ours, theirs, overlap).first_of_largest()
        best = np.full(len(index), -1.0, np.float32)
        best[pairs.ours] = pairs.overlap
        # One of another size is wrong all the same where its object was taken before.
        hits = np.stack([best >= least for least in needed])
        verdicts, found_by = assign(
            pairs,
            objects,
            ignored[None],
            group,
            np.where(own.is_between(low, high) | hits, WRONG, IGNORED)[None],
            needed,
        )
        return judgement(
            detections,
            index,
            verdicts,
            objects,
            ignored[None],
            found_by,
            needed,
            (num_images, len(ground_truth.classes)),
            found.row,
        )

    def evaluate(
        self, ground_truth: GroundTruth, detections: Detections
    ) -> EvalResults:
        """Compute every figure; see :func:`evaluate_voc`."""
        judged = self.judge(ground_truth, detections)
        matches, objects = judged.whole, judged.whole.object_count
        ap = np.full((len(self.iou_thrs), matches.num_classes), np.nan)
        for label in np.flatnonzero(objects).tolist():
            for index, verdict in enumerate(matches.of_class(label).verdict.T):
                ap[index, label] = self._average(verdict, objects[label])
        by_threshold = [0.0 if np.isnan(v := nan_mean(row)) else v for row in ap]
        names = [f"AP{int(threshold * 100):02d}" for threshold in self.iou_thrs]
        unknown = np.full(matches.num_classes, np.nan)
        at_half = np.flatnonzero(np.isclose(self.iou_thrs, 0.5)).tolist()
        f1, score = best_f1(matches, at_half[0]) if at_half else (unknown, unknown)
        return EvalResults(
            ground_truth.classes,
            {
                "mAP": float(np.mean(by_threshold)),
                **dict(zip(names, by_threshold, strict=True)),
            },
            ap.mean(0),
            ap[at_half[0]] if at_half else unknown,
            recall_of(matches).mean(1),
            objects,
            np.bincount(matches.label, minlength=matches.num_classes),
            f1,
            score,
            judged,
        )

    def _average(self, verdict: np.ndarray, objects: int) -> float:
        """Average the best precision from a recall on, over the recall."""
        right = (verdict == RIGHT).cumsum()
        wrong = (verdict == WRONG).cumsum()
        recalls = right / objects
        precisions = right / np.maximum(right + wrong, np.finfo(float).eps)
        best = np.maximum.accumulate(precisions[::-1])[::-1]
        if self.eval_mode == "area":
            return float(np.diff(recalls, prepend=0) @ best)
        # These floats decide for recalls of 0.3 and so on; mmdet has the same.
        places = np.searchsorted(recalls, np.arange(0, 1 + 1e-3, 0.1))
        return float(np.append(best, 0)[places].sum() / len(places))


def evaluate_voc(
    classes: Sequence[str],
    annotations: Sequence[Mapping[str, np.ndarray]],
    predictions: Sequence[Mapping[str, Any]],
    *,
    iou_thrs: Sequence[float] = (0.5,),
    eval_mode: str = "11points",
    use_legacy_coordinate: bool = True,
    scale_range: tuple[float, float] | None = None,
) -> EvalResults:
    """Compute average precision by VOC's rules.

    In each image the detections of a class come in the order of their scores. Each
    looks at the object it overlaps most: it is right if the overlap suffices and
    nobody took the object before, ignored if the object is difficult, else wrong.

    Args:
        classes: Names, length C.
        annotations: For each image ``bboxes`` (n, 4) as x1, y1, x2, y2, ``labels``
            (n,), and ``bboxes_ignore``, ``labels_ignore`` of difficult objects.
        predictions: For each image, in the same order, ``img_id``, ``bboxes``,
            ``scores`` and ``labels``.
        iou_thrs: Overlaps at which a detection is right. Default: (0.5,).
        eval_mode: As for :class:`VocRules`, like the rest.
        use_legacy_coordinate: Whether boxes are one pixel wider than x2 - x1.
        scale_range: Least and largest square root of the area of boxes that count.

    Returns:
        The figures. ``summary`` holds ``mAP``, the mean over the overlaps, and
        ``AP50`` and so on. AP of a class without an object is NaN; recall is the
        largest, mean over the overlaps. Where no class has an object, ``mAP`` is 0.

    Raises:
        ValueError: Another ``eval_mode``, or predictions that cannot be judged; names
            the image.

    Source: Everingham et al., The Pascal VOC Challenge (IJCV 2010), as coded in mmdet.
    Deviations: equal scores keep their order, figures are of double precision.
    """
    rules = VocRules(iou_thrs, eval_mode, use_legacy_coordinate, scale_range)
    return rules.evaluate(
        voc_ground_truth(classes, annotations),
        voc_detections(len(classes), predictions),
    )
