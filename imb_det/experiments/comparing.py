"""The finished runs of an experiment, compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imb_det.analysis.run_comparison import compare_runs
from imb_det.core import and_more
from imb_det.core.shown_text import write_text
from imb_det.statistics.frequency_groups import GroupLimits

from .plan import Dataset, Experiment
from .tables import markdown_table

__all__ = ["check_truth", "compare_experiment"]


def check_truth(experiment: Experiment) -> None:
    """Check, before anything is trained, that there is what to compare by.

    Args:
        experiment: The experiment, with the runs that are to be done.

    Raises:
        FileNotFoundError: Annotation files that are not there; names them.
    """
    used = dict.fromkeys(run.dataset for run in experiment.runs)
    datasets = [experiment.datasets[name] for name in used]
    named = [file for one in datasets for file in (one.ann_file, one.train_ann)]
    if missing := [str(file) for file in named if file and not file.is_file()]:
        raise FileNotFoundError(
            f"{experiment.name}: `ann_file` and `train_ann` name files that there are "
            f"not: {and_more(missing)}"
        )


def compare_experiment(
    experiment: Experiment,
    results: Sequence[Mapping[str, Any]],
    resamples: int = 1000,
) -> dict[str, Path]:
    """Write comparison, plot and table of each data set with two methods or more.

    Args:
        experiment: The experiment.
        results: Of its finished runs.
        resamples: Of images and seeds, for the intervals. Default 1000.

    Returns:
        The tables written, by data set: ``<work_dir>/<dataset>/table.md``, beside
        ``comparison.json`` and ``comparison.png``.
    """
    written = {}
    for name, dataset in experiment.datasets.items():
        own = [result for result in results if result["dataset"] == name]
        if not own:
            continue
        folder = experiment.work_dir / name
        comparison = _compare(experiment, dataset, own, folder, resamples)
        text = markdown_table(own, experiment.titles, comparison)
        written[name] = folder / "table.md"
        write_text(written[name], text)
    return written


def _compare(
    experiment: Experiment,
    dataset: Dataset,
    results: Sequence[Mapping[str, Any]],
    folder: Path,
    resamples: int,
) -> dict[str, Any] | None:
    finished = {(result["method"], result["seed"]) for result in results}
    files: dict[str, list[Path]] = {}
    limits = None
    for run in experiment.runs:
        if run.dataset == dataset.name and (run.method, run.seed) in finished:
            file = run.work_dir / "predictions.npz"
            if file.is_file():
                files.setdefault(run.method, []).append(file)
                limits = GroupLimits.from_config(run.config)
    ordered = {method: files[method] for method in experiment.titles if method in files}
    if len(ordered) < 2 or limits is None:
        for old in ("comparison.json", "comparison.png"):  # of runs that are no more
            (folder / old).unlink(missing_ok=True)
        return None
    quantiles = limits.quantiles
    comparison = compare_runs(
        dataset.ann_file,
        ordered,
        train=dataset.train_ann,
        group_thresholds=None if quantiles else limits.thresholds,
        group_quantiles=quantiles,
        resamples=resamples,
        out_dir=folder,
    )
    return comparison.to_dict()
