"""Results beside their experiment, and tables of them in a README."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from imb_det.analysis.comparison_plot import plot_differences
from imb_det.core import and_more

from .files import write_file
from .kept_rows import Incomparable, costs_of, keep_rows
from .places import places_of
from .plan import Experiment
from .published import Published
from .results import merge_results, read_results

__all__ = ["publish"]


def publish(
    experiment: Experiment,
    path: str | Path,
    results: Sequence[Mapping[str, Any]],
    readmes: Sequence[str | Path] | None = None,
) -> list[Path]:
    """Write what can be committed of an experiment beside its file.

    These are ``<experiment>.results.jsonl``, and for each data set
    ``<experiment>.<dataset>.json``, the comparison, and ``.png``, its plot; a published
    row of which not all predictions are here stays, see :func:`.keep_rows`. Tables in
    READMEs follow: each stands between the lines ``<!-- results of
    <experiment>.<dataset> -->``, or ``<!-- results of <experiment>.<dataset>: <method>
    <method> -->`` where it has the first method and these alone, and ``<!-- end of
    results -->``. The guide, what to use when, begins with ``<!-- guide of <experiment>
    -->`` and ends alike.

    Args:
        experiment: Compared, see :func:`.compare_experiment`.
        path: File of the experiment.
        results: Of its runs.
        readmes: With tables. Default: None, ``README.md`` of the same folder, if there
            is one.

    Returns:
        Files written.

    Raises:
        FileNotFoundError: A README that is not there.
        ValueError: No table in all READMEs that are asked for; one that does not end,
            or of a data set or method without results.
    """
    path = Path(path)
    asked = readmes is not None
    if readmes is None:
        readmes = [file for file in [path.with_name("README.md")] if file.is_file()]
    texts = {Path(file): Path(file).read_text(encoding="utf-8") for file in readmes}
    texts = {
        readme: text
        for readme, text in texts.items()
        if any(place.experiment == path.stem for place in places_of(text))
    }
    if asked and not texts:
        raise ValueError(
            f"no place for a table in {and_more(map(str, readmes))}: no line "
            f"'<!-- results of {path.stem}.{next(iter(experiment.datasets))} -->'"
        )
    file = path.with_suffix(".results.jsonl")
    before = read_results(file) if file.is_file() else []
    written, kept = [file], set()
    for dataset in experiment.datasets:
        old = [result for result in before if result["dataset"] == dataset]
        files, names = _publish_comparison(experiment, path, dataset, old)
        written += files
        kept |= {(dataset, name) for name in names}
    merge_results(file, [r for r in results if (r["dataset"], r["method"]) not in kept])
    _tell_of_others(experiment, file)
    published = Published(path)
    for readme, text in texts.items():
        write_file(readme, published.written_into(text))
        written.append(readme)
    return written


def _tell_of_others(experiment: Experiment, file: Path) -> None:
    """Name published results that are not of the experiment as it is planned now."""
    planned = {run.name: run.digest for run in experiment.runs}
    names = [
        (f"{r['dataset']}/{r['method']}/seed_{r['seed']}", r.get("digest"))
        for r in read_results(file)
    ]
    if others := [name for name, digest in names if planned.get(name) != digest]:
        print_log(
            f"{file} has results of other configs or data than those of today: "
            f"{and_more(others)}",
            "current",
            logging.WARNING,
        )


def _portable(comparison: Path, work_dir: Path) -> dict[str, Any]:
    """Return a comparison whose files are named from the folder of all runs on."""
    content: dict[str, Any] = json.loads(comparison.read_text(encoding="utf-8"))
    for method in content["methods"].values():
        files = [Path(file).relative_to(work_dir) for file in method["files"]]
        method["files"] = [file.as_posix() for file in files]
    return content


def _publish_comparison(
    experiment: Experiment, path: Path, dataset: str, results: list[dict[str, Any]]
) -> tuple[list[Path], list[str]]:
    """Write a comparison and its plot, with the published rows that it has not.

    Args:
        experiment: The experiment.
        path: Of its file.
        dataset: Name of the data set.
        results: Of it that are published.

    Returns:
        What was written, and the methods whose rows stay as they are.
    """
    source = experiment.work_dir / dataset / "comparison.json"
    if not source.is_file():
        return [], []
    content, names = _portable(source, experiment.work_dir), list[str]()
    target = path.with_suffix(f".{dataset}.json")
    if target.is_file():
        old = json.loads(target.read_text(encoding="utf-8"))
        of_first = [r for r in results if r["method"] == old["baseline"]]
        try:
            content, names = keep_rows(
                content, old, list(experiment.titles), costs_of(of_first)
            )
        except Incomparable as error:
            print_log(f"{target} stays as it is: {error}", "current", logging.WARNING)
            return [], list(old["methods"])
    if names:
        print_log(
            f"{target}: there are not all predictions here of {and_more(names)}, whose "
            "rows stay as they are",
            "current",
            logging.WARNING,
        )
    write_file(target, json.dumps(content, indent=1) + "\n")
    plot_differences(target.with_suffix(".png"), content)
    return [target, target.with_suffix(".png")], names
