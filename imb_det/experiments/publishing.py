"""Results beside their experiment, and tables of them in a README."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from imb_det.core import and_more
from imb_det.core.shown_text import write_text

from .plan import Experiment
from .results import merge_results, read_results
from .tables import markdown_table

__all__ = ["publish", "published_tables", "written_into"]

_BLOCK = "<!-- results of {name} -->"
_END = "<!-- end of results -->"


def publish(
    experiment: Experiment, path: str | Path, results: Sequence[Mapping[str, Any]]
) -> list[Path]:
    """Write what can be committed of an experiment beside its file.

    These are ``<experiment>.results.jsonl``, and for each data set
    ``<experiment>.<dataset>.json``, the comparison, and ``.png``, its plot. Tables in
    ``README.md`` of the same folder follow: each stands between the lines
    ``<!-- results of <experiment>.<dataset> -->`` and ``<!-- end of results -->``.

    Args:
        experiment: Compared, see :func:`.compare_experiment`.
        path: File of the experiment.
        results: Of its runs.

    Returns:
        Files written.
    """
    path = Path(path)
    written = [path.with_suffix(".results.jsonl")]
    merge_results(written[0], results)
    kept = [name for name in experiment.datasets if _loses(experiment, path, name)]
    for dataset in experiment.datasets:
        for kind in ("json", "png"):
            source = experiment.work_dir / dataset / f"comparison.{kind}"
            if source.is_file() and dataset not in kept:
                target = path.with_suffix(f".{dataset}.{kind}")
                shutil.copyfile(source, target)
                written.append(target)
    readme = path.with_name("README.md")
    if readme.is_file():
        text = readme.read_text(encoding="utf-8")
        write_text(readme, written_into(text, published_tables(path)))
        written.append(readme)
    return written


def _loses(experiment: Experiment, path: Path, dataset: str) -> bool:
    """Whether a published comparison knows methods that have not been run here."""
    new = experiment.work_dir / dataset / "comparison.json"
    old = path.with_suffix(f".{dataset}.json")
    if not (new.is_file() and old.is_file()):
        return False
    before, now = (set(json.loads(p.read_text("utf-8"))["methods"]) for p in (old, new))
    if missing := sorted(before - now):
        print_log(
            f"{old} stays as it is: there are no predictions here of "
            f"{and_more(missing)}",
            "current",
            logging.WARNING,
        )
    return bool(missing)


def published_tables(path: str | Path) -> dict[str, str]:
    """Make the tables of an experiment from what is published beside its file.

    Args:
        path: File of the experiment, which is run.

    Returns:
        Tables by ``<experiment>.<dataset>``.
    """
    path = Path(path)
    methods = Config.fromfile(path).methods
    titles = {name: own.get("title", name) for name, own in methods.items()}
    tables = {}
    results = read_results(path.with_suffix(".results.jsonl"))
    for dataset in dict.fromkeys(result["dataset"] for result in results):
        file = path.with_suffix(f".{dataset}.json")
        comparison = json.loads(file.read_text("utf-8")) if file.is_file() else None
        own = [result for result in results if result["dataset"] == dataset]
        tables[f"{path.stem}.{dataset}"] = markdown_table(own, titles, comparison)
    return tables


def written_into(text: str, tables: Mapping[str, str]) -> str:
    """Put tables into their places in a text.

    Args:
        text: Of a README.
        tables: By the name in its first line.

    Raises:
        ValueError: A place that does not end.
    """
    for name, table in tables.items():
        begin = _BLOCK.format(name=name)
        if begin not in text:
            continue
        pattern = re.compile(f"{re.escape(begin)}\n.*?{re.escape(_END)}", re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"README: no line {_END!r} after {begin!r}")
        block = f"{begin}\n{table}{_END}"
        text = pattern.sub(lambda match, block=block: block, text)  # type: ignore[misc]
    return text
