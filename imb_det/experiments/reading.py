"""Reading of an experiment, with all its configs."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .files import Files, digest_of
from .plan import Dataset, Experiment, Run
from .spec import check_spec, check_titles

__all__ = ["read_experiment"]

_NEEDED = ("train_cfg", "train_dataloader", "test_cfg", "test_dataloader")


def read_experiment(path: str | Path, work_dir: str | Path | None = None) -> Experiment:
    """Read an experiment and all its configs.

    .. code-block:: python

        seeds = [0, 1, 2]
        datasets = dict(
            boards=dict(
                config="configs/lite0/faster-rcnn_lite0_fpn_boards-lt.py",
                ann_file="data/boards_lt/val.json",
                train_ann="data/boards_lt/train.json",
            ),
        )
        methods = dict(
            plain=dict(),
            rfs=dict(options={"train_dataloader.sampler": dict(...)}),
            cosine=dict(options={"model.roi_head...": dict(...)}),
            both=dict(base=["rfs", "cosine"]),
        )

    A data set has ``config``, which all methods start from, ``options`` for it, as
    of ``--cfg-options``, ``ann_file`` of its test set and ``train_ann``. A method
    has ``options``, ``hooks`` that are added to ``custom_hooks``, the method, or
    methods, of ``base``, whose options come before its own, another ``config``, one
    for each data set in a dict, the ``datasets`` and ``seeds`` that it is for, all
    by default but no data sets that a base is not for, and a ``title``. Names that
    begin with ``_`` are the file's own.

    Args:
        path: File of the experiment, a config of mmengine, which is run.
        work_dir: In place of that of the file. Default: None.

    Raises:
        FileNotFoundError: A file that is not there.
        ValueError: Keys, names or options that there are not, two methods with one
            title; names them and what there is.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no experiment '{path}'")
    spec = Config.fromfile(path).to_dict()
    spec = {key: value for key, value in spec.items() if key[0] != "_"}
    check_spec(path, spec)
    folder = Path(work_dir or spec.get("work_dir") or f"work_dirs/{path.stem}")
    seeds = spec.get("seeds", [0])
    datasets, methods = spec["datasets"], spec["methods"]
    titles = {name: own.get("title", name) for name, own in methods.items()}
    read = Files()
    runs = [
        _run(path, spec, folder, dataset, method, seed, read)
        for seed in _all_seeds(seeds, methods)
        for dataset in datasets
        for method, own in methods.items()
        if seed in own.get("seeds", seeds) and dataset in _places(path, spec, method)
    ]
    for dataset in datasets:
        there = {run.method for run in runs if run.dataset == dataset}
        check_titles(path, [(m, title) for m, title in titles.items() if m in there])
    return Experiment(
        path.stem,
        folder,
        {
            name: Dataset(
                name,
                Path(own["ann_file"]),
                Path(own["train_ann"]) if "train_ann" in own else None,
                own.get("title", name),
            )
            for name, own in datasets.items()
        },
        titles,
        runs,
        spec.get("train_command", {}),
        spec.get("test_command", {}),
    )


def _places(path: Path, spec: Mapping[str, Any], method: str) -> set[str]:
    """Return the data sets that a method and all its bases are for."""
    every = spec["datasets"]
    chain = _chain(path, spec["methods"], method)
    return set(every).intersection(*(own.get("datasets", every) for own in chain))


def _all_seeds(seeds: Sequence[int], methods: Mapping[str, Any]) -> list[int]:
    every = [*seeds, *(s for own in methods.values() for s in own.get("seeds", ()))]
    return list(dict.fromkeys(every))


def _run(
    path: Path,
    spec: Mapping[str, Any],
    folder: Path,
    dataset: str,
    method: str,
    seed: int,
    read: Files,
) -> Run:
    """Make one run, with its whole config."""
    of_dataset = spec["datasets"][dataset]
    chain = list(_chain(path, spec["methods"], method))
    file = of_dataset["config"]
    for own in chain:
        other = own.get("config", file)
        file = other.get(dataset, file) if isinstance(other, dict) else other
    if "::" not in file and not Path(file).is_file():
        raise FileNotFoundError(f"{path}: there is no config '{file}' ({method})")
    config = read.config(file)
    for own in (of_dataset, *chain):
        try:
            config.merge_from_dict(copy.deepcopy(own.get("options", {})))
        except (LookupError, TypeError) as error:
            raise ValueError(
                f"{path}: options of {method!r} do not fit {file}: {error}"
            ) from None
        config.custom_hooks = [
            *(config.get("custom_hooks") or []),
            *copy.deepcopy(own.get("hooks", [])),
        ]
    if missing := [key for key in _NEEDED if config.get(key) is None]:
        raise ValueError(f"{path}: {file} lacks {missing}, which a run needs")
    config.randomness = dict(config.get("randomness") or {}, seed=seed)
    work_dir = folder / dataset / method / f"seed_{seed}"
    config.work_dir = str(work_dir)
    return Run(dataset, method, seed, config, work_dir, digest_of(config, read))


def _chain(
    path: Path, methods: Mapping[str, Any], name: str, above: tuple[str, ...] = ()
) -> Iterator[Mapping[str, Any]]:
    """Yield a method with what it is based on, that first."""
    if name not in methods or name in above:
        why = "is based on itself" if name in above else "there is none"
        raise ValueError(
            f"{path}: `base` of {' of '.join(above)} is {name!r}: {why}; methods are "
            f"{list(methods)}"
        )
    own = methods[name]
    bases = own.get("base", ())
    for base in [bases] if isinstance(bases, str) else bases:
        yield from _chain(path, methods, base, (*above, name))
    yield own
