"""Reading of an experiment, with all its configs."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from imb_det.core import and_more

from .files import Files, digest_of
from .plan import Dataset, Experiment, Run

__all__ = ["read_experiment"]

_KEYS = ("work_dir", "seeds", "datasets", "methods", "train_command", "test_command")
_OF_DATASET = ("config", "options", "ann_file", "train_ann", "title")
_OF_METHOD = ("config", "options", "hooks", "base", "datasets", "seeds", "title")
_OF_COMMAND = ("before", "after")
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
        ValueError: Keys or names that there are not; names them and what there is.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no experiment '{path}'")
    spec = Config.fromfile(path).to_dict()
    spec = {key: value for key, value in spec.items() if key[0] != "_"}
    _check_keys(str(path), spec, _KEYS)
    for key in ("datasets", "methods"):
        if not spec.get(key):
            raise ValueError(f"{path}: `{key}` is missing or empty")
    folder = Path(work_dir or spec.get("work_dir") or f"work_dirs/{path.stem}")
    seeds = spec.get("seeds", [0])
    datasets, methods = spec["datasets"], spec["methods"]
    for key in ("train_command", "test_command"):
        _check_keys(f"{path}: `{key}`", spec.get(key, {}), _OF_COMMAND)
    for name, own in datasets.items():
        _check_keys(f"{path}: data set {name!r}", own, _OF_DATASET)
        if missing := {"config", "ann_file"} - set(own):
            raise ValueError(f"{path}: data set {name!r} lacks {sorted(missing)}")
    for name, own in methods.items():
        where = f"{path}: method {name!r}"
        _check_keys(where, own, _OF_METHOD)
        if unknown := set(own.get("datasets", ())) - set(datasets):
            raise ValueError(
                f"{where}: no data sets {sorted(unknown)}; there are {list(datasets)}"
            )
    read = Files()
    runs = [
        _run(path, spec, folder, dataset, method, seed, read)
        for seed in _all_seeds(seeds, methods)
        for dataset in datasets
        for method, own in methods.items()
        if seed in own.get("seeds", seeds) and dataset in _places(path, spec, method)
    ]
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
        {name: own.get("title", name) for name, own in methods.items()},
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
        config.merge_from_dict(copy.deepcopy(own.get("options", {})))
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


def _check_keys(where: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    if unknown := [key for key in given if key not in known]:
        raise ValueError(
            f"{where}: unknown {and_more(unknown)}; known are {list(known)}"
        )
