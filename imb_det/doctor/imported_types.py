"""Types that a config imports, and the names by which another config finds them."""

from __future__ import annotations

from collections.abc import Mapping
from types import FunctionType
from typing import Any

import mmcv.ops
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.utils import get_object_from_string

__all__ = ["import_types", "path_of", "with_paths"]


def import_types(config: Config) -> None:
    """Import what a config in the form of a Python module names, and uses.

    mmengine does so where a value is read, anywhere. What is imported and not used
    is forgotten, as when mmengine writes a config.

    Args:
        config: Any; one without imports stays as it is.

    Raises:
        ImportError: A name is not there.
    """
    inner: Any = config._cfg_dict
    for name in getattr(config, "_imported_names", ()):
        dict.pop(inner, name, None)
    _visit(inner)


def _visit(node: Any) -> None:
    if isinstance(node, Mapping):
        node = list(node.values())  # which are imported here
    if isinstance(node, (list, tuple)):
        for part in node:
            _visit(part)


def with_paths(node: Any) -> Any:
    """Return values of a config with the path of each type in its place.

    Args:
        node: A mapping, a list, or any other value.
    """
    if isinstance(node, Mapping):
        return {key: with_paths(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(map(with_paths, node))
    return path_of(node) if isinstance(node, (type, FunctionType)) else node


def path_of(kind: type | FunctionType) -> str:
    """Return the text by which mmengine and mmdet find a class or a function.

    It is the path, but for operators of mmcv that no registry has: mmdet knows those by
    their bare name. The path of its module can lead elsewhere: a function hides the
    module ``mmdet.models.losses.smooth_l1_loss``. What packages export is found then.

    Args:
        kind: Class or function of a module.
    """
    name = kind.__qualname__
    is_operator = getattr(mmcv.ops, name, None) is kind
    if is_operator and kind not in MODELS.module_dict.values():
        return name
    modules = kind.__module__.split(".")
    for end in range(len(modules), 0, -1):
        path = ".".join([*modules[:end], name])
        if get_object_from_string(path) is kind:
            return path
    return f"{kind.__module__}.{name}"
