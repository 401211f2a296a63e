"""Rows of a published comparison whose predictions are on another machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["Incomparable", "costs_of", "keep_rows"]

#: What a training costs, in a result.
COSTS = ("cpu_seconds", "memory_gb")


class Incomparable(ValueError):
    """A published comparison has more trainings of its first method than are here."""


def keep_rows(
    new: Mapping[str, Any],
    old: Mapping[str, Any],
    order: Iterable[str],
    costs: Mapping[str, Sequence[float]],
) -> tuple[dict[str, Any], list[str]]:
    """Add what is published of methods of which not all predictions are here.

    Differences are paired by image, so that they need the predictions of both methods.
    Where those of a published row are lost, or elsewhere, the row stays as it is:
    compared with the trainings of the first method that were made along with it. If
    these are others than those of today, ``earlier`` has them, and ``kept`` says by
    method which of them.

    Args:
        new: The comparison of what is here, files named from the folder of all runs.
        old: The published one.
        order: Names of methods, in the order of the result.
        costs: Of the published trainings of the first method, see :func:`costs_of`.

    Returns:
        The comparison, and the names of the methods that are kept.

    Raises:
        Incomparable: Trainings of the first method that are published and not here.
    """
    first = new["baseline"]
    if first != old["baseline"]:
        raise Incomparable(f"it compares with {old['baseline']!r}, not {first!r}")
    lost = {
        method: sorted(set(own["files"]) - set(_files(new, method)))
        for method, own in old["methods"].items()
    }
    if lost[first]:
        raise Incomparable(f"there are no predictions here of {lost[first]}")
    names = [name for name, files in lost.items() if files]
    content = {**new, "earlier": [], "kept": {}}
    for part in ("methods", "differences"):
        every = {**new[part], **{name: old[part][name] for name in names}}
        content[part] = {name: every[name] for name in order if name in every}
    for name in content["differences"]:
        if name in names:
            then = _trained_along(old, name, costs)
            if then["figures"] != new["methods"][first]["figures"]:
                if then not in content["earlier"]:
                    content["earlier"].append(then)
                content["kept"][name] = content["earlier"].index(then)
    return content, names


def _files(comparison: Mapping[str, Any], method: str) -> list[str]:
    files: list[str] = comparison["methods"].get(method, {}).get("files", [])
    return files


def _trained_along(
    old: Mapping[str, Any], method: str, costs: Mapping[str, Sequence[float]]
) -> dict[str, Any]:
    """Return the trainings of the first method that a row is compared with."""
    if method in old.get("kept", {}):
        found: dict[str, Any] = old["earlier"][old["kept"][method]]
        return found
    return dict(figures=old["methods"][old["baseline"]]["figures"], **costs)


def costs_of(results: Iterable[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Return what trainings cost, by ``'cpu_seconds'`` and ``'memory_gb'``.

    Args:
        results: Of their runs; one that was killed and went on has no time.
    """
    results = list(results)
    return {key: [r[key] for r in results if r[key] is not None] for key in COSTS}
