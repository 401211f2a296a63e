"""What an experiment is made of: methods, seeds and data sets, and the runs of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mmengine.config import Config

from imb_det.core import and_more

__all__ = ["Dataset", "Experiment", "Run"]


@dataclass(frozen=True)
class Dataset:
    """What methods are compared on.

    Args:
        name: Of the data set.
        ann_file: Annotation file of its test set, for the comparison.
        train_ann: That of its training set, for the groups, or None.
        title: For tables.
    """

    name: str
    ann_file: Path
    train_ann: Path | None
    title: str


@dataclass(frozen=True)
class Run:
    """A training and its test.

    Args:
        dataset: Name of the data set.
        method: Name of the method.
        seed: Of the training.
        config: Whole config of the training.
        work_dir: Folder of the run alone.
        digest: Of the config and of the annotation files that it names.
    """

    dataset: str
    method: str
    seed: int
    config: Config = field(repr=False, compare=False)
    work_dir: Path
    digest: str

    @property
    def name(self) -> str:
        """Names of data set, method and seed."""
        return f"{self.dataset}/{self.method}/seed_{self.seed}"


@dataclass(frozen=True)
class Experiment:
    """Methods x seeds x data sets, see :func:`.read_experiment`.

    Args:
        name: Of the experiment.
        work_dir: Folder of all runs.
        datasets: By name.
        titles: Of the methods, by name, the first one what others are compared to.
        runs: In the order in which they are done: seed by seed, so that a table of one
            seed is whole before the second begins.
        train_command, test_command: What is put ``before`` ``tools/train.py`` and
            ``tools/test.py`` in place of the interpreter, such as ``torchrun`` with its
            arguments, and ``after`` theirs.
    """

    name: str
    work_dir: Path
    datasets: Mapping[str, Dataset]
    titles: Mapping[str, str]
    runs: Sequence[Run]
    train_command: Mapping[str, Sequence[str]]
    test_command: Mapping[str, Sequence[str]]

    def only(
        self,
        datasets: Sequence[str] | None = None,
        methods: Sequence[str] | None = None,
        seeds: Sequence[int] | None = None,
    ) -> Experiment:
        """Return the same with some of the runs.

        Args:
            datasets: Of the runs; None for all. Default: None.
            methods: Of the runs; None for all. Default: None.
            seeds: Of the runs; None for all. Default: None.

        Raises:
            ValueError: There are no such runs; names what there is.
        """
        runs: Sequence[Run] = self.runs
        for key, wanted in (
            ("dataset", datasets),
            ("method", methods),
            ("seed", seeds),
        ):
            there = list(dict.fromkeys(getattr(run, key) for run in self.runs))
            if wanted is None:
                continue
            if unknown := [one for one in wanted if one not in there]:
                raise ValueError(
                    f"{self.name}: no {key} {and_more(unknown)}; there are {there}"
                )
            runs = [run for run in runs if getattr(run, key) in wanted]
        if not runs:
            raise ValueError(f"{self.name}: no run is of all that was asked for")
        return replace(self, runs=runs)
