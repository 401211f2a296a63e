"""Configs read as data: a config is a program, but the one of a work dir need not run.

mmengine writes the resolved config into the work dir, as assignments of plain values.
These are read here without running them, and so that what is then built from them runs
nothing either: only data sets, metrics and transforms of installed libraries.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.registry import DATASETS, METRICS, TRANSFORMS
from mmengine.utils import get_object_from_string

__all__ = ["read_plain_config"]

#: Libraries whose registered classes are taken.
_KNOWN = ("imb_det", "mmcv", "mmdet", "mmengine")
#: Endings of files that mmengine reads with what runs programs in them.
_PROGRAMS = (".pickle", ".pkl", ".yaml", ".yml")
#: Arguments whose file mmdet unpickles, whatever its ending, and a folder of programs
#: that a file backend imports from.
_RUN = ("hierarchy_file", "meta_file", "split_file", "sys_path")
#: Arguments whose file a metric would write, and never read.
_WRITTEN = ("out_file_path",)
_NUMBERS = {"inf": float("inf"), "-inf": -float("inf"), "nan": float("nan")}


def read_plain_config(path: str | Path) -> Config:
    """Read the config that mmengine wrote into a work dir, without running it.

    Args:
        path: File of assignments: ``name = value``, of plain values, lists, tuples,
            ``{...}`` and ``dict(...)``.

    Returns:
        The config; its ``custom_imports`` are not imported. Of validation, and of
        loaders but their data set, it has nothing, as these are not looked at.

    Raises:
        ValueError: A line that is no such assignment, or a data set, transform or
            metric that none of these libraries registers, or that would run or unpickle
            a file; names the file, the place, and the remedy.
    """
    path = Path(path)
    try:
        content = dict(_assignments(path))
        registered = _registered()
        scope = content.get("default_scope")
        if scope not in (None, *_KNOWN):  # of which mmengine imports a module
            raise ValueError(f"`default_scope` is {scope!r}, none of {_KNOWN}")
        for part in ("val_dataloader", "val_evaluator"):
            content.pop(part, None)
        for part in ("test_dataloader", "train_dataloader"):
            loader = content.get(part)
            if loader is None:
                continue
            if not isinstance(loader, dict):
                raise ValueError(f"`{part}` is no dictionary")
            content[part] = {"dataset": loader.get("dataset")}
            _check(content[part], part, registered)
        _check(content.get("test_evaluator"), "test_evaluator", registered)
        return Config(content, filename=str(path))
    except (
        KeyError,
        MemoryError,
        RecursionError,
        SyntaxError,
        TypeError,
        ValueError,
    ) as error:
        raise ValueError(
            f"{path} is not run, and cannot be read as plain values: {error}. If you "
            "trust it, name it (or the config that the run was started with) with "
            "`--config FILE`, which runs it"
        ) from error


def _assignments(path: Path) -> Iterator[tuple[str, Any]]:
    for line in ast.parse(path.read_text(encoding="utf-8")).body:
        if (
            not isinstance(line, ast.Assign)
            or len(line.targets) != 1
            or not isinstance(line.targets[0], ast.Name)
        ):
            raise ValueError(
                f"line {line.lineno} is `{ast.unparse(line)[:60]}`, no `name = value`"
            )
        yield line.targets[0].id, _value(line.value)


def _value(node: ast.expr) -> Any:
    """Return what an expression stands for, if it is plain."""
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        kind = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
        return kind(map(_value, node.elts))
    if isinstance(node, ast.Dict) and None not in node.keys:
        keys = [_value(key) for key in node.keys if key is not None]
        return dict(zip(keys, map(_value, node.values), strict=True))
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "dict":
        content = dict(*map(_value, node.args))
        for word in node.keywords:
            value = _value(word.value)
            content.update({word.arg: value} if word.arg else value)
        return content
    if (text := ast.unparse(node)) in _NUMBERS:
        return _NUMBERS[text]
    try:
        return ast.literal_eval(node)
    except (TypeError, ValueError) as error:
        raise ValueError(f"line {node.lineno} has `{text[:60]}`") from error


def _registered() -> dict[str, Any]:
    """Return the registered classes by name, with and without their scope."""
    register_all_modules(init_default_scope=False)
    found: dict[str, Any] = {}
    todo = [DATASETS, METRICS, TRANSFORMS]
    while todo:
        registry = todo.pop()
        todo += registry.children.values()
        for name, kind in registry.module_dict.items():
            found.setdefault(name, kind)
            found[f"{registry.scope}.{name}"] = kind
    return found


def _check(value: Any, where: str, registered: dict[str, Any]) -> None:
    """Refuse types that nobody registered, and files that would be run."""
    if isinstance(value, dict):
        if "type" in value:
            _check_type(value["type"], where, registered)
        if "_scope_" in value:
            raise ValueError(f"`{where}` has `_scope_`, of which a module is imported")
        for key, inner in value.items():
            if key in _RUN and inner:
                raise ValueError(f"`{where}.{key}` is {inner!r}, which would be run")
            if key not in _WRITTEN:
                _check(inner, f"{where}.{key}", registered)
    elif isinstance(value, (list, tuple, set)):
        for index, inner in enumerate(value):
            _check(inner, f"{where}[{index}]", registered)
    elif isinstance(value, str) and value.lower().endswith(_PROGRAMS):
        raise ValueError(f"`{where}` is {value!r}, which would be unpickled or run")


def _check_type(name: Any, where: str, registered: dict[str, Any]) -> None:
    kind = None
    if isinstance(name, str) and (kind := registered.get(name)) is None:
        kind = _by_path(name, registered)
    if kind is None or kind.__module__.split(".")[0] not in _KNOWN:
        raise ValueError(
            f"`{where}` has the type {name!r}, which none of {', '.join(_KNOWN)} "
            "registers"
        )


def _by_path(name: str, registered: dict[str, Any]) -> Any:
    """Return a registered class by where it is, as configs with imports are written."""
    if name.split(".")[0] not in _KNOWN:
        return None
    try:
        found = get_object_from_string(name)
    except (ImportError, AttributeError):
        return None
    return found if any(found is kind for kind in registered.values()) else None
