"""COCO's average precision as one function, with every figure for each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .detections import Detections
from .figures import (
    Figures,
    check_budgets,
    check_overlaps,
    overlaps_to_judge,
    span_of,
)
from .ground_truth import GroundTruth
from .matches import Judgement, Matches
from .matching import judge
from .precision_recall import best_f1, precision_and_recall, recall_of
from .results import EvalResults, nan_mean

__all__ = ["CocoRules", "evaluate_coco"]


@dataclass(frozen=True)
class CocoRules:
    """The rules of COCO.

    Args:
        iou_thrs: Overlaps at which a detection is right, ascending, in (0, 1]; 0.5,
            0.55, ... 0.95 if None. Default: None.
        max_dets: Numbers of best detections of a class in an image that count, each
            >= 1. Default: (100, 300, 1000).

    Raises:
        ValueError: An overlap or a number out of range, or none.
    """

    iou_thrs: Sequence[float] | None = None
    max_dets: Sequence[int] = (100, 300, 1000)

    name: ClassVar[str] = "COCO"
    #: Figures that a report begins with, and their keys in the summary.
    headline: ClassVar[Mapping[str, str]] = {
        "AP": "mAP",
        "AP50": "mAP_50",
        "AP75": "mAP_75",
    }

    def __post_init__(self) -> None:
        check_overlaps(self.iou_thrs)
        check_budgets("max_dets", self.max_dets)

    @property
    def main(self) -> int:
        """Detections that count for ``mAP``: 100, or the most where that is none."""
        return 100 if 100 in self.max_dets else int(max(self.max_dets))

    @property
    def description(self) -> str:
        """What the figures of a report are."""
        return (
            f"AP by COCO's rules (IoU {span_of(self.iou_thrs)}); AP50 at IoU 0.5; "
            "ignored boxes left out"
        )

    def judge(
        self, ground_truth: GroundTruth, detections: Detections, sizes: bool = True
    ) -> Judgement:
        """Match the detections that count for any figure; see :func:`.judge`."""
        return judge(
            ground_truth,
            detections,
            iou_thrs=overlaps_to_judge(self.iou_thrs),
            max_dets=int(max(self.max_dets)),
            sizes=sizes,
        )

    def compared(self, ground_truth: GroundTruth, detections: Detections) -> Matches:
        """Return the verdicts on the detections that count for ``mAP``."""
        return self.judge(ground_truth, detections, sizes=False).whole.best(self.main)

    def evaluate(
        self, ground_truth: GroundTruth, detections: Detections
    ) -> EvalResults:
        """Compute every figure; see :func:`evaluate_coco`."""
        judged = self.judge(ground_truth, detections)
        found = Figures(judged, self.iou_thrs)
        main = judged.whole.best(self.main)
        ap, recall = found.precision[0], found.recall[0]
        if main is not judged.whole:
            both = precision_and_recall(main)
            ap, recall = (values[:, found.asked] for values in both)
        most = max(self.max_dets)
        summary = {
            "mAP": nan_mean(ap.mean(1)),
            "mAP_50": nan_mean(found.at(0.5)),
            "mAP_75": nan_mean(found.at(0.75)),
        }
        for size, values in zip("sml", found.precision[1:], strict=True):
            summary[f"mAP_{size}"] = nan_mean(values)
        for number in sorted(set(self.max_dets)):
            share = recall_of(judged.whole.best(int(number)))
            summary[f"AR@{number}"] = nan_mean(share[:, found.asked])
        for size, values in zip("sml", found.recall[1:], strict=True):
            summary[f"AR_{size}@{most}"] = nan_mean(values)
        return EvalResults(
            ground_truth.classes,
            summary,
            ap.mean(1),
            found.at(0.5),
            recall.mean(1),
            judged.whole.object_count,
            np.bincount(main.label, minlength=main.num_classes),
            *best_f1(main, judged.column(0.5)),
            judged,
        )


def evaluate_coco(
    ground_truth: GroundTruth,
    predictions: Sequence[Mapping[str, Any]] | Detections,
    iou_type: str = "bbox",
    *,
    iou_thrs: Sequence[float] | None = None,
    max_dets: Sequence[int] = (100, 300, 1000),
) -> EvalResults:
    """Compute average precision and recall by COCO's rules.

    As in mmdet, ``mAP`` counts up to 100 detections of a class in an image, and the
    figures at one threshold or for one size as many as the largest of ``max_dets``.
    The figures of a class count as many as those that they are a part of.

    Args:
        ground_truth: All images to judge; one without prediction is an image in which
            nothing was found.
        predictions: As for :meth:`Detections.from_predictions`, or its result.
        iou_type: ``bbox`` or ``segm``. Default: ``bbox``.
        iou_thrs: As for :class:`CocoRules`, like ``max_dets``.
        max_dets: Numbers of best detections of a class in an image that count.
            Default: (100, 300, 1000).

    Returns:
        The figures. ``summary`` holds ``mAP``, ``mAP_50``, ``mAP_75``, ``mAP_s``,
        ``mAP_m``, ``mAP_l``, ``AR@n`` for each n of ``max_dets``, and ``AR_s@n``,
        ``AR_m@n``, ``AR_l@n`` for the largest n.

    Raises:
        ValueError: Predictions that cannot be judged, see
            :meth:`Detections.from_predictions`; the message names the image.

    Source:
        Lin et al., Microsoft COCO (2014), as coded in pycocotools. Deviation: an
        object whose annotation has the id 0 can be found; pycocotools takes that id for
        "no match", and counts the detection that finds it as wrong.
    """
    rules = CocoRules(iou_thrs, max_dets)
    ground_truth = ground_truth.judged_by(iou_type)
    if not isinstance(predictions, Detections):
        predictions = Detections.from_predictions(ground_truth, predictions, iou_type)
    return rules.evaluate(ground_truth, predictions)
