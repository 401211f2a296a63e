"""The comparison of methods on one test set: differences of AP, with intervals."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from imb_det.core.shown_text import write_text
from imb_det.evaluation.functional import FederatedGroundTruth
from imb_det.evaluation.functional.bootstrap import bootstrap
from imb_det.evaluation.functional.coco_eval import CocoRules
from imb_det.evaluation.functional.lvis_eval import LvisRules
from imb_det.statistics.class_stats import ClassStats
from imb_det.statistics.frequency_groups import GroupLimits

from .comparison_inputs import RULES, judge_files, read_groups, read_test_set
from .comparison_plot import plot_differences
from .comparison_results import RunComparison

__all__ = ["compare_runs"]


def compare_runs(
    ann_file: str | Path,
    runs: Mapping[str, Sequence[str | Path]],
    *,
    iou_type: str = "bbox",
    train: ClassStats | str | Path | None = None,
    group_thresholds: Sequence[float] | None = None,
    group_quantiles: Sequence[float] | None = None,
    rules: str | CocoRules | LvisRules | None = None,
    classes: Sequence[str] | None = None,
    max_dets: int | None = None,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    fixed_seeds: bool = False,
    out_dir: str | Path | None = None,
    allow_pickle: bool = False,
) -> RunComparison:
    """Judge saved predictions of several methods, and resample images and seeds.

    Args:
        ann_file: COCO or LVIS annotation file of the test set.
        runs: Files of predictions of each seed, see :func:`.read_predictions`, by the
            name of the method; the first method is what the others are compared to.
        iou_type: ``bbox`` or ``segm``. Default: ``bbox``.
        train: Training images of each class, for the groups: counts, a JSON file of
            them, or the annotation file of the training set. None takes the letters of
            an LVIS file, or leaves the groups out. Default: None.
        group_thresholds: Last number of training images of a rare and of a common
            class, where ``train`` is given; those that come with the counts, (10, 100)
            where none do, if None. Default: None.
        group_quantiles: Shares of the classes that are rare, and rare or common, in
            place of thresholds. Default: None.
        rules: ``coco`` or ``lvis``, or the rules themselves, as a config's metric has
            them (COCO's overlaps are taken); by the content of the file if None.
            Default: None.
        classes: Names of the classes that the detectors know, in the order of the
            file, where they are not all of its categories: label 0 is the first of
            them. Default: None.
        max_dets: Detections that count, >= 1: of a class in an image for COCO, of an
            image for LVIS; those of the rules if None, which are 100 and 300 where the
            rules are not given themselves. Default: None.
        resamples: Number of resamples, >= 1. Default: 1000.
        confidence: Of the intervals, in (0, 1). Default: 0.95.
        seed: Of the random numbers, >= 0. Default: 0.
        fixed_seeds: Whether the seeds are not resampled. Default: False.
        out_dir: Folder for ``comparison.json`` and ``comparison.png``; None writes
            nothing. Default: None.
        allow_pickle: Whether predictions may be pickles, which can run any program when
            they are read. Default: False.

    Raises:
        FileNotFoundError: A file that is not there.
        ValueError: Fewer than two methods, files that do not fit together or cannot be
            read (named, with the entry), or settings out of range.
    """
    limits = GroupLimits.given(group_thresholds, group_quantiles)
    if len(runs) < 2:
        raise ValueError(f"at least two methods are needed, got {list(runs)}")
    if max_dets is not None and max_dets < 1:
        raise ValueError(f"`max_dets` must be >= 1, got {max_dets}")
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` must be between 0 and 1, got {confidence}")
    given = rules if rules is None or isinstance(rules, str) else rules.name.lower()
    truth, ids = read_test_set(ann_file, given, classes, iou_type)
    name = "lvis" if isinstance(truth, FederatedGroundTruth) else "coco"
    chosen = RULES[name] if rules is None or isinstance(rules, str) else rules
    if isinstance(chosen, CocoRules):
        chosen = CocoRules(None, (max_dets or chosen.main,))
    else:
        chosen = replace(chosen, iou_thrs=None, max_dets=max_dets or chosen.max_dets)
    files = {name: [Path(file) for file in own] for name, own in runs.items()}
    every = dict.fromkeys(file for own in files.values() for file in own)
    groups, limits = read_groups(truth, train, limits)
    judged = judge_files(truth, ids, list(every), iou_type, chosen, allow_pickle)
    results = bootstrap(
        [[judged[file] for file in own] for own in files.values()],
        groups,
        resamples=resamples,
        seed=seed,
        fixed_seeds=fixed_seeds,
    )
    shares = None if limits is None else limits.quantiles
    thresholds = None if limits is None or shares else limits.thresholds
    settings = {
        "ann_file": str(ann_file),
        "num_images": next(iter(judged.values())).num_images,
        "iou_type": iou_type,
        "rules": name,
        "groups": "counts" if train is not None else "letters" if groups else None,
        "group_thresholds": thresholds and list(thresholds),
        "group_quantiles": shares and list(shares),
        "max_dets": chosen.main if isinstance(chosen, CocoRules) else chosen.max_dets,
        "resamples": resamples,
        "seed": seed,
        "fixed_seeds": fixed_seeds,
    }
    comparison = RunComparison(files, settings, results, confidence)
    if out_dir is not None:
        out = Path(out_dir)
        out.mkdir(parents=True, exist_ok=True)
        content = comparison.to_dict()
        write_text(out / "comparison.json", json.dumps(content, indent=1) + "\n")
        plot_differences(out / "comparison.png", content)
    return comparison
