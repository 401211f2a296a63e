"""What moves between two ways in which a detector predicts the test images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imb_det.analysis.comparison_inputs import RULES, judge_files, read_test_set
from imb_det.analysis.run_comparison import compare_runs
from imb_det.evaluation.functional import text_table
from imb_det.evaluation.functional.matches import Matches
from imb_det.statistics import ClassStats

from .operating_figures import compare_operating_figures

__all__ = ["judged", "what_moves"]


def judged(
    ann_file: Path, files: Sequence[Path], classes: Sequence[str]
) -> list[Matches]:
    """Match the predictions of some files to the objects of an annotation file."""
    truth, ids = read_test_set(ann_file, classes=classes)
    found = judge_files(truth, ids, list(files), rules=RULES["coco"])
    return [found[file] for file in files]


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
    rows = [
        [
            c.figure,
            c.group,
            c.before,
            c.after,
            f"{c.after - c.before:+.3f} [{c.interval[0]:.3f}, {c.interval[1]:.3f}]",
        ]
        for c in changes
    ]
    head = ["figure", "classes", "before", "after", "difference"]
    title = f"From a score of {score_thr:g} on, at an overlap of 0.5"
    return f"{compared.text()}\n\n{title}\n{text_table(head, rows)}"
