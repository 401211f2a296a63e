"""Types that a config names and no registry has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import mmcv.ops
import mmengine.registry as registries
from mmengine.registry import Registry

from imb_det.core.finding import Finding, Severity

__all__ = ["unknown_types"]


def unknown_types(config: Any) -> Iterator[Finding]:
    """Find names that nothing is registered under, which mmengine may tell badly.

    They are warnings, as a config may have parts that nothing is built from; what
    cannot be built for it is an error by itself.

    Args:
        config: Config whose ``default_scope`` is in effect.
    """
    roots = [r for r in vars(registries).values() if isinstance(r, Registry)]
    known: dict[str, bool] = {}
    for place, kind in _types(dict(config.items()), ""):
        if kind not in known:
            is_operator = hasattr(mmcv.ops, kind)  # such as `nms` and `RoIAlign`
            known[kind] = is_operator or any(_has(root, kind) for root in roots)
        if not known[kind]:
            near = get_close_matches(kind.rpartition(".")[2], _names(roots), 1)
            yield Finding(
                "unknown_type",
                Severity.WARNING,
                "types that no registry has",
                f"`{place}`",
                f"type={kind!r}",
                f"The nearest is {near[0]!r}"
                if near
                else "Import what registers it: `custom_imports=dict(imports=[...])`",
            )


def _types(part: Any, place: str) -> Iterator[tuple[str, str]]:
    """Yield where a type is named, and its name."""
    if isinstance(part, Mapping):
        kind = part.get("type")
        if isinstance(kind, str):
            yield place, kind
        for key, value in part.items():
            yield from _types(value, f"{place}.{key}" if place else str(key))
    elif isinstance(part, (list, tuple)):
        for number, value in enumerate(part):
            yield from _types(value, f"{place}[{number}]")


def _has(root: Registry, kind: str) -> bool:
    try:
        with root.switch_scope_and_registry(None) as registry:
            return registry.get(kind) is not None
    except Exception:  # of a name that leads to a module which cannot be imported
        return False


def _names(roots: list[Registry]) -> list[str]:
    names: set[str] = set()
    for root in roots:
        names.update(root.module_dict)
        for child in root.children.values():
            names.update(child.module_dict)
    return sorted(names)
