"""What moves between two ways in which a detector predicts the test images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from imb_det.analysis.comparison_inputs import RULES, judge_files, read_test_set
from imb_det.analysis.run_comparison import compare_runs
from imb_det.core import check_number
from imb_det.evaluation.functional import (
    Detections,
    FederatedGroundTruth,
    GroundTruth,
    text_table,
)
from imb_det.evaluation.functional.matches import Matches
from imb_det.evaluation.result_files import read_predictions
from imb_det.statistics import ClassStats

from .label_sets import compare_label_sets
from .operating_figures import OperatingChange, compare_operating_figures

__all__ = [
    "changes_table",
    "check_report",
    "detected",
    "judged",
    "label_sets_move",
    "what_moves",
]


def judged(
    ann_file: Path, files: Sequence[Path], classes: Sequence[str]
) -> list[Matches]:
    """Match the predictions of some files to the objects of an annotation file.

    In files of LVIS, detections of classes that nobody has looked for in their image
    are neither right nor wrong, and left out.
    """
    truth, ids = read_test_set(ann_file, classes=classes)
    rules = RULES["lvis" if isinstance(truth, FederatedGroundTruth) else "coco"]
    found = judge_files(truth, ids, list(files), rules=rules)
    return [found[file] for file in files]


def detected(
    ann_file: Path, files: Sequence[Path], classes: Sequence[str]
) -> tuple[GroundTruth, list[Detections]]:
    """Return the images that were tested, and all detections of each file."""
    truth, ids = read_test_set(ann_file, classes=classes)
    truth = truth.judged_by("bbox")
    found = [read_predictions(file, truth, ids) for file in files]
    part = truth.subset({own["img_id"] for own in found[0]})
    return part, [Detections.from_predictions(part, own) for own in found]


def check_report(score_thr: float, resamples: int) -> None:
    """Refuse numbers of a report, before anything is predicted for it.

    Args:
        score_thr: Least score, in [0, 1).
        resamples: Of the images, >= 1.

    Raises:
        TypeError, ValueError: Out of range.
    """
    check_number("report", "score_thr", score_thr, 0, 1)
    if score_thr == 1:
        raise ValueError("report: `score_thr` must be below 1")
    check_number("report", "resamples", resamples, 1, None)


def what_moves(
    ann_file: Path,
    files: Sequence[Path],
    names: Sequence[str],
    stats: ClassStats,
    out: Path,
    score_thr: float = 0.3,
    resamples: int = 1000,
) -> str:
    """Compare predictions before and after a change, by group, with intervals.

    Args:
        ann_file: Of the test images.
        files: Predictions before and after.
        names: What they are called.
        stats: Counts of the training set.
        out: Folder for the results.
        score_thr: For F1, recall, precision and the calibration error. Default 0.3.
        resamples: Of the images, for the intervals. Default 1000.
    """
    compared = compare_runs(
        ann_file,
        dict(zip(names, ([file] for file in files), strict=True)),
        classes=stats.classes,
        train=stats,
        resamples=resamples,
        out_dir=out,
    )
    before, after = judged(ann_file, files, stats.classes)
    changes = compare_operating_figures(
        before, after, stats.groups(), score_thr, resamples
    )
    title = f"From a score of {score_thr:g} on, at an overlap of 0.5"
    return f"{compared.text()}\n\n{title}\n{changes_table(changes)}"


def changes_table(
    changes: Sequence[OperatingChange], names: Sequence[str] = ("before", "after")
) -> str:
    """Write figures of two detectors, and their differences.

    What is not defined, such as the precision where nothing is kept, is a dash.

    Args:
        changes: The figures.
        names: What the two are called. Default ``('before', 'after')``.
    """
    rows = [[c.figure, c.group, c.before, c.after, _difference(c)] for c in changes]
    return text_table(["figure", "classes", *names, "difference"], rows)


def _difference(change: OperatingChange) -> str:
    difference = change.after - change.before
    if math.isnan(difference):
        return "-"
    low, high = change.interval
    return f"{difference:+.3f}" + (
        "" if math.isnan(low) else f" [{low:.3f}, {high:.3f}]"
    )


def label_sets_move(
    ann_file: Path,
    files: Sequence[Path],
    stats: ClassStats,
    resamples: int = 1000,
) -> str:
    """Compare the labels that objects are given, before and after average-K.

    Args:
        ann_file: Of the test images.
        files: Predictions before and after.
        stats: Counts of the training set.
        resamples: Of the images, for the intervals. Default 1000.
    """
    part, (before, after) = detected(ann_file, files, stats.classes)
    change = compare_label_sets(part, before, after, stats.groups(), resamples)
    title = (
        "Labels of an object: those of all detections that are left and overlap it by "
        f"0.5; coverage is 1 less the average-K error, beside that of the {change.most}"
        " best labels of each object as trained"
    )
    names = "as trained", "average-K"
    return f"{title}\n{changes_table(change.figures, names)}"
