"""A config that changes another one."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping
from keyword import iskeyword
from pathlib import Path
from textwrap import wrap
from types import FunctionType
from typing import Any

from mmengine.config import Config

from imb_det.core.shown_text import write_text

from .imported_types import path_of, with_paths
from .prescription import Prescription

__all__ = ["patch_text", "write_patch"]

_HEAD = "# Written by tools/doctor.py, which replaces it.\n"
_COMMENT = 86
_WIDTH = 72  # of a line that is not broken, less its indentation


def write_patch(
    path: Path,
    prescription: Prescription,
    config: Any,
    config_file: str,
    options: Mapping[str, Any] | None = None,
) -> Path | None:
    """Write a prescription as a config that can be trained as it is.

    Args:
        path: File to write, ending in ``.py``.
        prescription: With changes.
        config: Config that is changed, as it was read.
        config_file: Its path.
        options: What the command line has changed in it, which is written too.
            Default: nothing.

    Returns:
        The file; None where nothing is to be changed.

    Raises:
        OSError: It cannot be written.
    """
    changes = {**(options or {}), **prescription.measuring, **prescription.changes}
    if config.get("default_scope") is None:  # where no part of ours would be found
        changes = {"default_scope": "mmdet", **changes}
    if not prescription.changes:
        _forget(path)
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    base = os.path.relpath(Path(config_file).resolve(), path.parent.resolve())
    notes = [
        f"{advice.use}. {reason}".rstrip()
        for advice, reason in zip(
            prescription.advice, prescription.reasons, strict=True
        )
    ]
    lines = [line for note in notes for line in wrap(note, _COMMENT)]
    head = _HEAD + "".join(f"# {line}\n" for line in lines)
    if _is_lazy(config_file):  # which cannot be a base of this kind of file
        whole = copy.deepcopy(config)
        whole.merge_from_dict(_for_merging(changes, config))
        plain = Config(with_paths(dict(whole.items())))
        write_text(path, head + str(plain.pretty_text))
    else:
        write_text(path, head + patch_text(base, changes, config))
    return path


def _forget(path: Path) -> None:
    """Remove what an earlier look has prescribed."""
    if path.is_file() and path.read_bytes().startswith(_HEAD.encode()):
        path.unlink()


def patch_text(base: str, changes: Mapping[str, Any], config: Any) -> str:
    """Return the text of a config with a base.

    Args:
        base: Path of the base, as the config is to name it.
        changes: Values by dotted key; a number in a key is a place in a list, of which
            the whole list is written, as configs replace lists.
        config: The base as it was read.
    """
    tree: dict[str, Any] = {}
    known = dict(config.items())  # a config is no mapping
    for key, value in changes.items():
        _put(tree, key.split("."), value, known)
    lines = [f"{key} = {_code(value)}\n" for key, value in tree.items()]
    return "".join([f'_base_ = "{_escaped(base)}"\n', *lines])


def _code(value: Any, depth: int = 0) -> str:
    """Write a value as Python, with names of arguments where they can be such."""
    if isinstance(value, Mapping):
        named = all(str(k).isidentifier() and not iskeyword(str(k)) for k in value)
        items = [
            f"{key}={_code(part, depth + 1)}"
            if named
            else f"{key!r}: {_code(part, depth + 1)}"
            for key, part in value.items()
        ]
        ends = ("dict(", ")") if named else ("{", "}")
    elif isinstance(value, (list, tuple)):
        items = [_code(part, depth + 1) for part in value]
        ends = ("[", "]") if isinstance(value, list) else ("(", ")")
        if isinstance(value, tuple) and len(value) == 1:
            ends = ("(", ",)")
    elif isinstance(value, (type, FunctionType)):
        return f'"{path_of(value)}"'
    else:
        return f'"{_escaped(value)}"' if isinstance(value, str) else repr(value)
    line = ends[0] + ", ".join(items) + ends[1]
    if len(line) + 4 * depth <= _WIDTH and "\n" not in line:
        return line
    inner = "".join(f"{'    ' * (depth + 1)}{item},\n" for item in items)
    return f"{ends[0]}\n{inner}{'    ' * depth}{ends[1]}"


def _escaped(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)[1:-1]
    return quoted if quoted.isprintable() else json.dumps(text)[1:-1]


def _put(tree: dict[str, Any], keys: list[str], value: Any, config: Any) -> None:
    """Set a value in a tree of dictionaries, lists of the config among them."""
    at: Any = tree
    known: Any = config
    for key in keys[:-1]:
        known = _inside(known, key)
        if isinstance(at, list):
            at = at[int(key)]
            continue
        if isinstance(known, (list, tuple)) and key not in at:
            at[key] = [_plain(part) for part in known]
        at = at.setdefault(key, {})
    if isinstance(at, list):
        at[int(keys[-1])] = value
        return
    given = copy.deepcopy(value)
    in_list = any(key.isdigit() for key in keys)
    if in_list and isinstance(given, dict):
        given.pop("_delete_", None)  # the whole list is written
    if isinstance(given, dict) and _inside(known, keys[-1]) is None:
        given.pop("_delete_", None)  # there is nothing to delete
    at[keys[-1]] = given


def _inside(known: Any, key: str) -> Any:
    if isinstance(known, (list, tuple)):
        return known[int(key)]
    return known.get(key) if isinstance(known, Mapping) else None


def _plain(part: Any) -> Any:
    if isinstance(part, Mapping):
        return {key: _plain(value) for key, value in part.items()}
    if isinstance(part, (list, tuple)):
        return type(part)(map(_plain, part))
    return part


def _for_merging(changes: Mapping[str, Any], config: Any) -> dict[str, Any]:
    """Return changes for a config that is merged in place.

    mmengine takes ``_delete_`` out where there is something to delete, and leaves it in
    what is new.
    """
    found = {}
    for key, value in changes.items():
        known: Any = dict(config.items())
        for part in key.split("."):
            known = _inside(known, part)
        found[key] = _plain(value)
        if known is None and isinstance(found[key], dict):
            found[key].pop("_delete_", None)
    return found


def _is_lazy(config_file: str) -> bool:
    try:
        return bool(Config._is_lazy_import(config_file))
    except Exception:  # of a kind of file that has no such thing
        return False
