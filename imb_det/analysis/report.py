"""The report on one run: figures, a table of the classes and three pictures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

from imb_det.core.shown_text import write_text
from imb_det.datasets.unread_files import explain_failures
from imb_det.evaluation.config_rules import (
    Rules,
    ground_truth_for,
    groups_of,
    judges_masks,
    make_evaluator,
    rules_of,
)
from imb_det.evaluation.functional import (
    Detections,
    EvalResults,
    class_rows,
    text_table,
)
from imb_det.evaluation.functional.results import nan_mean
from imb_det.evaluation.functional.tables import CLASS_COLUMNS, plain
from imb_det.evaluation.functional.top1 import top1_recall
from imb_det.evaluation.offline import read_results, training_stats
from imb_det.statistics.class_stats import ClassStats
from imb_det.statistics.dataset_access import iter_data_infos

from .examples import make_example, pick_images
from .plain_config import read_plain_config
from .plots import plot_classes, plot_curves, plot_examples
from .run_log import read_run_log
from .work_dir import find_config, find_predictions

__all__ = ["Report", "make_report"]


@dataclass(frozen=True)
class Report:
    """Figures of a run, as data and as text.

    Args:
        results: Figures of the test set, whole and by class.
        rules: By which they were found.
        groups: Class indices by the name of the frequency group; empty where the
            training set is not known.
        class_stats: Counts of the training set; None where it is not known.
        top1: Share of the objects of each class whose best detection has their class,
            see :func:`.top1_recall`, (C,).
        files: Files written.
    """

    results: EvalResults
    rules: Rules
    groups: dict[str, np.ndarray]
    class_stats: ClassStats | None
    top1: np.ndarray
    files: tuple[Path, ...] = ()

    @property
    def image_count(self) -> np.ndarray | None:
        """Training images of each class, (C,)."""
        return None if self.class_stats is None else self.class_stats.image_count

    @property
    def figures(self) -> dict[str, float]:
        """AP, whole, at some overlaps and of the groups, in reading order."""
        figures = {
            name: self.results.summary[key] for name, key in self.rules.headline.items()
        }
        groups = self.results.group_summary(self.groups)
        precision = {k: v for k, v in groups.items() if k.startswith("AP")}
        figures.update((k, v) for k, v in precision.items() if "_" not in k)
        figures.update((k, v) for k, v in precision.items() if "_" in k)
        figures["top1"] = nan_mean(self.top1)
        shares = {n: nan_mean(self.top1[members]) for n, members in self.groups.items()}
        figures.update(
            (f"top1_{n[0]}", v) for n, v in shares.items() if not np.isnan(v)
        )
        return figures

    def class_rows(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return the columns of the table of classes, and its rows."""
        rows = class_rows(self.results, self.image_count, self.groups)
        top1 = dict(zip(self.results.classes, self.top1.tolist(), strict=True))
        return [*CLASS_COLUMNS, "top1"], [(*row, top1[row[0]]) for row in rows]

    def text(self) -> str:
        """Write the two tables: the figures, and those of each class."""
        figures, groups = self.figures, self.groups
        sizes = ", ".join(f"{len(ids)} {name}" for name, ids in groups.items())
        columns, rows = self.class_rows()
        return "\n".join(
            [
                text_table(list(figures), [list(figures.values())]),
                "",
                f"{self.rules.description}."
                + (f" Classes by training images: {sizes}." if sizes else ""),
                "",
                text_table(columns, rows),
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        """Return numbers and lists for JSON; what is not defined is None."""
        columns, rows = self.class_rows()
        keys = [name.replace(" ", "_") for name in columns]
        return {
            "rules": self.rules.description,
            "figures": {k: plain(v) for k, v in self.figures.items()},
            "all_figures": {k: plain(v) for k, v in self.results.summary.items()},
            "classes": [dict(zip(keys, map(plain, row), strict=True)) for row in rows],
        }


def make_report(
    work_dir: str | Path,
    predictions: str | Path | None = None,
    out_dir: str | Path | None = None,
    score_thr: float = 0.3,
    num_images: int = 6,
    config: str | Path | None = None,
    allow_pickle: bool = False,
) -> Report:
    """Judge saved predictions and write the report's files.

    Works for every mmdet data set with boxes. Rules and ground truth are those of the
    first metric of the config's ``test_evaluator``: its annotation file, or the test
    data set where it has none. The counts come from the training data set. Masks are
    judged where no metric judges boxes.

    Args:
        work_dir: Work dir of a run; holds the config and the logs.
        predictions: File of ``tools/test.py --out``, or a result file of COCO or LVIS
            (``.json``); ``predictions.npz`` of the work dir if None. Default: None.
        out_dir: Folder for the files; the work dir if None. Default: None.
        score_thr: Least score of a detection in the picture, 0 to 1. Default: 0.3.
        num_images: Images in the picture, >= 1. Default: 6.
        config: File of a config, which is run. None takes the one that mmengine wrote
            into the work dir, which is read and not run. Default: None.
        allow_pickle: Whether the predictions may be a pickle, which can run any program
            when it is read. Default: False.

    Returns:
        The figures. Written are ``report.txt``, ``report.json``, ``predictions.png``,
        ``curves.png`` and, with a training set, ``class_histogram.png``.

    Raises:
        FileNotFoundError: No config, or no predictions; the message says how to make
            them.
        ValueError: Predictions that do not belong to the test set, or are a pickle; a
            config of the work dir that would have to be run.
    """
    cfg = _read_config(work_dir, config)
    file = find_predictions(work_dir, predictions)
    init_default_scope(cfg.get("default_scope", "mmdet"))
    with explain_failures(cfg):
        dataset = DATASETS.build(cfg.test_dataloader.dataset)
    infos = list(iter_data_infos(dataset))
    evaluator = make_evaluator(cfg)
    rules = rules_of(evaluator)
    iou_type = "segm" if judges_masks(evaluator, only=True) else "bbox"
    predicted = read_results(dataset, infos, file, iou_type, allow_pickle)
    tested = {prediction["img_id"] for prediction in predicted}
    # JSON does not tell images without a detection.
    ids = None if Path(file).suffix == ".json" else tested
    truth = ground_truth_for(evaluator, dataset, infos, ids).judged_by(iou_type)
    detections = Detections.from_predictions(truth, predicted, iou_type)
    stats = training_stats(cfg)
    if stats is not None:
        stats.check_classes(truth.classes)
    groups = dict(groups_of(evaluator, truth.classes, stats))
    results = rules.evaluate(truth, detections)

    out = Path(out_dir or work_dir)
    out.mkdir(parents=True, exist_ok=True)
    files = [out / "report.txt", out / "report.json", out / "curves.png"]
    plot_curves(files[-1], read_run_log(work_dir))
    if stats is not None:
        files.append(out / "class_histogram.png")
        plot_classes(files[-1], truth.classes, stats.image_count, results.ap, groups)
    rows = pick_images(truth, None if stats is None else stats.image_count, num_images)
    if rows:
        files.append(out / "predictions.png")
        paths = {info["img_id"]: info["img_path"] for info in infos}
        examples = [
            make_example(
                truth,
                row,
                paths[truth.image_ids[row]],
                detections,
                results.judged,
                score_thr,
            )
            for row in rows
        ]
        names = list(truth.classes)
        for label in groups.get("rare", ()):
            names[label] += " (rare)"
        plot_examples(files[-1], examples, names, f" (score from {score_thr:g})")
    top1 = top1_recall(truth, detections)
    report = Report(results, rules, groups, stats, top1, tuple(files))
    write_text(files[0], report.text() + "\n")
    write_text(files[1], json.dumps(report.to_dict(), indent=1) + "\n")
    return report


def _read_config(work_dir: str | Path, config: str | Path | None) -> Config:
    if config is None:
        return read_plain_config(find_config(work_dir))
    if not Path(config).is_file():
        raise FileNotFoundError(f"there is no config '{config}'")
    return Config.fromfile(config)
