"""Rows of a published comparison whose predictions are on another machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["Incomparable", "keep_rows", "kept_notes"]


class Incomparable(ValueError):
    """A published comparison has more trainings of its first method than are here."""


def keep_rows(
    new: Mapping[str, Any], old: Mapping[str, Any], order: Iterable[str]
) -> tuple[dict[str, Any], list[str]]:
    """Add what is published of methods of which not all predictions are here.

    Differences are paired by image, so that they need the predictions of both methods.
    Where those of a published row are lost, or elsewhere, the row stays as it is:
    compared with the trainings of the first method of its own time, whose figures stay
    with it, as ``kept[method]``, where they are others than those of today.

    Args:
        new: The comparison of what is here, files named from the folder of all runs.
        old: The published one.
        order: Names of methods, in the order of the result.

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
    kept = [method for method, files in lost.items() if files]
    methods, changes = dict(new["methods"]), dict(new["differences"])
    compared_with = {}
    for name in kept:
        methods[name], changes[name] = old["methods"][name], old["differences"][name]
        compared_with[name] = old.get("kept", {}).get(name, _estimates(old, first))
    order = [name for name in order if name in methods]
    today = _estimates(new, first)
    return {
        **new,
        "methods": {name: methods[name] for name in order},
        "differences": {name: changes[name] for name in order if name != first},
        "kept": {
            name: before
            for name, before in compared_with.items()
            if before != today and name in order
        },
    }, kept


def _files(comparison: Mapping[str, Any], method: str) -> list[str]:
    return comparison["methods"].get(method, {}).get("files", [])


def _estimates(comparison: Mapping[str, Any], method: str) -> dict[str, Any]:
    figures = comparison["methods"][method]["figures"]
    return {name: own["estimate"] for name, own in figures.items()}


def kept_notes(
    comparison: Mapping[str, Any], figures: Iterable[str]
) -> tuple[dict[str, str], list[str]]:
    """Return a mark for each kept row, and a line for each mark.

    Args:
        comparison: As published.
        figures: Those that a line names.
    """
    figures = list(figures)
    marks: dict[str, str] = {}
    lines: dict[str, str] = {}
    for method, before in comparison.get("kept", {}).items():
        known = [name for name in figures if before.get(name) is not None]
        text = ", ".join(f"{name} {before[name]:.3f}" for name in known)
        lines.setdefault(text, "\u2020" * (len(lines) + 1))
        marks[method] = lines[text]
    first = comparison.get("baseline")
    return marks, [
        f"{mark} compared with other trainings of {first!r}, on another machine: {text}"
        for text, mark in lines.items()
    ]
