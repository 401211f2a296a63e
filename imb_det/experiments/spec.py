"""What the file of an experiment may say, and how what it must not say is named."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from imb_det.core import and_more

__all__ = ["check_spec", "check_titles"]

_Types = tuple[type, ...]
_LIST: _Types = (list, tuple)
_KEYS: dict[str, _Types] = dict(
    work_dir=(str,),
    seeds=_LIST,
    datasets=(dict,),
    methods=(dict,),
    train_command=(dict,),
    test_command=(dict,),
)
_OF_DATASET: dict[str, _Types] = dict(
    config=(str,), options=(dict,), ann_file=(str,), train_ann=(str,), title=(str,)
)
_OF_METHOD: dict[str, _Types] = dict(
    config=(str, dict),
    options=(dict,),
    hooks=_LIST,
    base=(str, *_LIST),
    datasets=_LIST,
    seeds=_LIST,
    title=(str,),
)
_OF_COMMAND: dict[str, _Types] = dict(before=_LIST, after=_LIST)
_NAME = re.compile(r"[\w-]+")  # of folders, and between the markers of a README


def check_spec(path: Path, spec: Mapping[str, Any]) -> None:
    """Check keys, types and names of an experiment.

    Args:
        path: Its file.
        spec: Its content, without names that begin with ``_``.

    Raises:
        ValueError: Names what is wrong, and what there is.
    """
    _check(str(path), spec, _KEYS)
    for key in ("datasets", "methods"):
        if not spec.get(key):
            raise ValueError(f"{path}: `{key}` is missing or empty")
        if wrong := [n for n in spec[key] if not _NAME.fullmatch(str(n))]:
            raise ValueError(
                f"{path}: names in `{key}` must be of letters, digits, - and _, got "
                f"{and_more(wrong)}"
            )
    for key in ("train_command", "test_command"):
        _check(f"{path}: `{key}`", spec.get(key, {}), _OF_COMMAND)
    _check_seeds(str(path), spec.get("seeds", [0]))
    for name, own in spec["datasets"].items():
        where = f"{path}: data set {name!r}"
        _check(where, own, _OF_DATASET)
        if missing := {"config", "ann_file"} - set(own):
            raise ValueError(f"{where} lacks {sorted(missing)}")
    for name, own in spec["methods"].items():
        where = f"{path}: method {name!r}"
        _check(where, own, _OF_METHOD)
        _check_seeds(where, own.get("seeds", [0]))
        config = own.get("config")
        of_config = config if isinstance(config, dict) else ()
        if unknown := {*own.get("datasets", ()), *of_config} - set(spec["datasets"]):
            raise ValueError(
                f"{where}: no data sets {sorted(unknown)}; there are "
                f"{list(spec['datasets'])}"
            )


def check_titles(path: Path, titles: Iterable[tuple[str, str]]) -> None:
    """Check that no two methods have one title.

    Args:
        path: File of the experiment.
        titles: Methods of one data set, each with its title.

    Raises:
        ValueError: Names them.
    """
    known: dict[str, str] = {}
    for method, title in titles:
        if known.setdefault(title, method) != method:
            raise ValueError(
                f"{path}: methods {known[title]!r} and {method!r} have one title, "
                f"{title!r}, and could not be told apart in a table"
            )


def _check(where: str, given: Any, known: Mapping[str, _Types]) -> None:
    if not isinstance(given, Mapping):
        raise ValueError(f"{where}: must be a dict, got {given!r}")
    if unknown := [key for key in given if key not in known]:
        raise ValueError(
            f"{where}: unknown {and_more(unknown)}; known are {list(known)}"
        )
    for key, value in given.items():
        if not isinstance(value, known[key]):
            names = " or ".join(kind.__name__ for kind in known[key])
            raise ValueError(f"{where}: `{key}` must be a {names}, got {value!r}")


def _check_seeds(where: str, seeds: Iterable[Any]) -> None:
    if not seeds or any(type(seed) is not int or seed < 0 for seed in seeds):
        raise ValueError(f"{where}: `seeds` must be whole numbers >= 0, got {seeds!r}")
