"""Results beside their experiment, and tables of them in a README."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from imb_det.core import and_more

from .files import write_file
from .guide import guide_table
from .places import places_of
from .plan import Experiment
from .results import merge_results, read_results
from .tables import markdown_table

__all__ = ["Published", "publish"]


def publish(
    experiment: Experiment,
    path: str | Path,
    results: Sequence[Mapping[str, Any]],
    readmes: Sequence[str | Path] | None = None,
) -> list[Path]:
    """Write what can be committed of an experiment beside its file.

    These are ``<experiment>.results.jsonl``, and for each data set
    ``<experiment>.<dataset>.json``, the comparison, and ``.png``, its plot. Tables in
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
    written = [path.with_suffix(".results.jsonl")]
    merge_results(written[0], results)
    _tell_of_others(experiment, written[0])
    for dataset in experiment.datasets:
        source = experiment.work_dir / dataset / "comparison.json"
        if not source.is_file():
            continue
        target = path.with_suffix(f".{dataset}.json")
        content = _portable(source, experiment.work_dir)
        if lost := _lost(content, target):
            print_log(
                f"{target} stays as it is: there are no predictions here of "
                f"{and_more(lost)}",
                "current",
                logging.WARNING,
            )
            continue
        write_file(target, json.dumps(content, indent=1) + "\n")
        shutil.copyfile(source.with_suffix(".png"), target.with_suffix(".png"))
        written += [target, target.with_suffix(".png")]
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


def _lost(new: Mapping[str, Any], old: Path) -> list[str]:
    """Return the runs that a published comparison knows and a new one does not."""
    if not old.is_file():
        return []
    before = json.loads(old.read_text(encoding="utf-8"))
    files = [
        {file for method in content["methods"].values() for file in method["files"]}
        for content in (before, new)
    ]
    return sorted(files[0] - files[1])


class Published:
    """What is published of an experiment, and the tables that are made of it.

    Args:
        path: File of the experiment, which is run.

    Raises:
        FileNotFoundError: Nothing is published beside it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        methods = Config.fromfile(self.path).methods
        self.titles = {name: own.get("title", name) for name, own in methods.items()}
        self.results: dict[str, list[dict[str, Any]]] = {}
        for result in read_results(self.path.with_suffix(".results.jsonl")):
            self.results.setdefault(result["dataset"], []).append(result)

    def table(self, dataset: str, methods: Sequence[str] | None = None) -> str:
        """Make a table.

        Args:
            dataset: Name of the data set.
            methods: Beside the first one; None for all. Default: None.

        Raises:
            ValueError: There are no results of them.
        """
        own = self.results.get(dataset, [])
        known = {result["method"] for result in own}
        if missing := [name for name in methods or known or "?" if name not in known]:
            raise ValueError(
                f"{self.path.name}: no results of {and_more(missing)} on {dataset!r}"
            )
        titles = self.titles
        if methods is not None:
            first = next(name for name in titles if name in known)
            titles = {name: titles[name] for name in (first, *methods)}
        return markdown_table(own, titles, self._comparison(dataset))

    def guide(self) -> str:
        """Make the guide, what to use when.

        Raises:
            ValueError: It rests on a method that is not compared.
        """
        found = {dataset: self._comparison(dataset) or {} for dataset in self.results}
        return guide_table(self.titles, found)

    def _comparison(self, dataset: str) -> dict[str, Any] | None:
        file = self.path.with_suffix(f".{dataset}.json")
        if not file.is_file():
            return None
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return content

    def written_into(self, text: str) -> str:
        """Put tables into their places in a text.

        Args:
            text: Of a README.

        Raises:
            ValueError: A place that does not end, or a table without results.
        """
        parts, at = [], 0
        for place in places_of(text):
            if place.experiment == self.path.stem:
                if place.kind == "guide":
                    table = self.guide()
                else:
                    table = self.table(place.dataset, place.methods)
                parts += [text[at : place.begin], f"\n{table}"]
                at = place.end
        return "".join([*parts, text[at:]])
