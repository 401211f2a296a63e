"""Average precision by the rules of LVIS as one function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from .detections import Detections
from .federated import FederatedGroundTruth
from .figures import (
    Figures,
    check_overlaps,
    is_budget,
    overlaps_to_judge,
    span_of,
)
from .ground_truth import GroundTruth
from .matches import Judgement, Matches, best_in
from .matching import judge
from .precision_recall import best_f1, pooled_precision
from .results import EvalResults, nan_mean

__all__ = ["FIXED_PER_CLASS", "LvisRules", "evaluate_lvis"]

#: Detections of a class in the whole set that fixed AP counts.
FIXED_PER_CLASS = 10_000


@dataclass(frozen=True)
class LvisRules:
    """The rules of LVIS.

    Args:
        iou_thrs: Overlaps at which a detection is right, ascending, in (0, 1]; 0.5,
            0.55, ... 0.95 if None. Default: None.
        max_dets: Detections that count in an image, of all classes together, >= 1; all
            of them if None. Default: 300.
        fixed_ap: Whether the 10,000 best detections of each class in the whole set
            count, in place of ``max_dets`` in each image. Default: False.

    Raises:
        ValueError: ``max_dets`` below 1, or an overlap out of range.
    """

    iou_thrs: Sequence[float] | None = None
    max_dets: int | None = 300
    fixed_ap: bool = False

    name: ClassVar[str] = "LVIS"
    #: Figures that a report begins with, and their keys in the summary.
    headline: ClassVar[Mapping[str, str]] = {
        name: name for name in ("AP", "AP50", "AP75", "AP_pool")
    }

    def __post_init__(self) -> None:
        check_overlaps(self.iou_thrs)
        if self.max_dets is not None and not is_budget(self.max_dets):
            raise ValueError(
                f"`max_dets` must be None or a whole number >= 1, got {self.max_dets!r}"
            )

    @property
    def budget(self) -> str:
        """Detections that count, as the names of the recalls have it."""
        return "10000" if self.fixed_ap else str(self.max_dets or "all")

    @property
    def description(self) -> str:
        """What the figures of a report are."""
        best = f"{FIXED_PER_CLASS} best detections of a class"
        if not self.fixed_ap:
            best = f"{self.max_dets or 'all'} best detections of an image"
        return (
            f"AP by LVIS's rules (IoU {span_of(self.iou_thrs)}, {best}, classes that "
            "its file judges); AP50 at IoU 0.5; AP_pool with all classes in one ranking"
        )

    def judge(
        self, ground_truth: GroundTruth, detections: Detections, sizes: bool = True
    ) -> Judgement:
        """Match the detections that count; see :func:`evaluate_lvis`.

        Raises:
            ValueError: Ground truth that does not say what was looked for.
        """
        if not isinstance(ground_truth, FederatedGroundTruth):
            raise ValueError(
                "LVIS's rules need a FederatedGroundTruth, got "
                f"{type(ground_truth).__name__}; use FederatedGroundTruth.from_lvis"
            )
        index = self._counted(ground_truth, detections)
        counted = detections.take(index)
        judged = judge(
            ground_truth,
            counted,
            iou_thrs=overlaps_to_judge(self.iou_thrs),
            unjudged=ground_truth.is_unjudged_if_wrong(counted),
            sizes=sizes,
        )
        return replace(judged, index=index[judged.index])

    def compared(self, ground_truth: GroundTruth, detections: Detections) -> Matches:
        """Return the verdicts on the detections that count."""
        return self.judge(ground_truth, detections, sizes=False).whole

    def _counted(
        self, ground_truth: FederatedGroundTruth, detections: Detections
    ) -> np.ndarray:
        """Return the indices of the detections that count."""
        group, most = detections.image, self.max_dets
        if self.fixed_ap:
            group, most = detections.label, FIXED_PER_CLASS
        kept = np.arange(len(detections))[best_in(group, most, detections.score)]
        return kept[ground_truth.is_judged(detections.take(kept))]

    def evaluate(
        self, ground_truth: GroundTruth, detections: Detections
    ) -> EvalResults:
        """Compute every figure; see :func:`evaluate_lvis`."""
        judged = self.judge(ground_truth, detections)
        found = Figures(judged, self.iou_thrs)
        pooled = pooled_precision(judged.whole, found.asked)
        ap = found.precision[0].mean(1)
        summary = {
            "AP": nan_mean(ap),
            "AP50": nan_mean(found.at(0.5)),
            "AP75": nan_mean(found.at(0.75)),
        }
        for size, values in zip("sml", found.precision[1:], strict=True):
            summary[f"AP{size}"] = nan_mean(values)
        for size, values in zip(("", *"sml"), found.recall, strict=True):
            summary[f"AR{size}@{self.budget}"] = nan_mean(values)
        return EvalResults(
            ground_truth.classes,
            {**summary, "AP_pool": float(pooled.mean())},
            ap,
            found.at(0.5),
            found.recall[0].mean(1),
            judged.whole.object_count,
            np.bincount(judged.whole.label, minlength=len(ground_truth.classes)),
            *best_f1(judged.whole, judged.column(0.5)),
            judged,
        )


def evaluate_lvis(
    ground_truth: FederatedGroundTruth,
    predictions: Sequence[Mapping[str, Any]] | Detections,
    iou_type: str = "bbox",
    *,
    iou_thrs: Sequence[float] | None = None,
    max_dets: int | None = 300,
    fixed_ap: bool = False,
) -> EvalResults:
    """Compute average precision and recall by LVIS's rules.

    In this order: of each image the ``max_dets`` best detections of all classes count;
    of those, the ones of a class that the image was judged for; a detection of a class
    whose objects may lack annotations is not wrong when it matches none.

    Args:
        ground_truth: All images to judge.
        predictions: As for :meth:`Detections.from_predictions`, or its result.
        iou_type: ``bbox`` or ``segm``. Default: ``bbox``.
        iou_thrs: Overlaps at which a detection is right, ascending, in (0, 1]; 0.5,
            0.55, ... 0.95 if None. Default: None.
        max_dets: Detections that count in an image, >= 1; all of them if None.
            Default: 300.
        fixed_ap: Whether the 10,000 best detections of each class in the whole set
            count, in place of ``max_dets`` in each image. Default: False.

    Returns:
        The figures. ``summary`` holds ``AP``, ``AP50``, ``AP75``, ``APs``, ``APm``,
        ``APl``, ``AP_pool`` (all classes in one ranking), and ``AR@n``, ``ARs@n``,
        ``ARm@n``, ``ARl@n`` with n for the detections that count (``all`` without
        limit, ``10000`` for fixed AP).

    Raises:
        ValueError: ``max_dets`` below 1; predictions that cannot be judged, see
            :meth:`Detections.from_predictions`.

    Source:
        Gupta et al., LVIS (CVPR 2019), as coded in its toolkit; fixed AP of Dave et
        al., "Evaluating Large-Vocabulary Object Detectors: The Devil is in the
        Details" (2021). Deviations: the size of a mask is that of the mask, not of its
        box; an object whose annotation has the id 0 can be found, which the toolkit
        takes for "no match".
    """
    rules = LvisRules(iou_thrs, max_dets, fixed_ap)
    ground_truth = ground_truth.judged_by(iou_type)
    if not isinstance(predictions, Detections):
        predictions = Detections.from_predictions(ground_truth, predictions, iou_type)
    return rules.evaluate(ground_truth, predictions)
