"""Tables of an experiment, from results and a comparison."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from imb_det.core.shown_text import shown

from .kept_rows import COSTS, costs_of

__all__ = ["cell", "difference_text", "markdown_table"]

#: What is shown, by the name of the figure.
_FIGURES = {
    **{name: name for name in ("AP", "APr", "APc", "APf")},
    "top1_r": "top-1 rare",
    "top1_c": "top-1 common",
    "top1_f": "top-1 frequent",
}

#: Below a table with marks.
_NOTE = (
    "\u2020: trained on another machine, and compared with the training there that has "
    "the same mark."
)


def markdown_table(
    results: Sequence[Mapping[str, Any]],
    titles: Mapping[str, str],
    comparison: Mapping[str, Any] | None = None,
) -> str:
    """Write a table of the methods on one data set.

    Each figure is the mean over seeds, with the standard deviation, and the difference
    from the first method, in bold where its interval is without 0 and there are several
    seeds: of one it says nothing about others. Both are those of the comparison. Top-1
    is how many objects get their own name, see :func:`.top1_recall`. Time and memory
    are relative to the first method. Rows that were trained elsewhere have a mark, as
    the trainings of the first method that they are compared with, see
    :func:`.keep_rows`.

    Args:
        results: Of one data set.
        titles: Of the methods, by name, in the order of the table; those without a
            result are left out.
        comparison: What ``compare_runs`` has written. Default: None, no differences.
    """
    comparison = comparison or {}
    by_method = {
        method: [result for result in results if result["method"] == method]
        for method in titles
    }
    by_method = {method: own for method, own in by_method.items() if own}
    if not by_method:
        return "no results\n"
    (first, firsts), *others = by_method.items()
    figures = [name for name in _FIGURES if name in firsts[0]["figures"]]
    header = ["method", "seeds", *(_FIGURES[name] for name in figures)]
    header += ["time", "memory"]
    kept, earlier = comparison.get("kept", {}), comparison.get("earlier", [])
    costs: list[Mapping[str, Sequence[float]]] = [*earlier, costs_of(firsts)]
    rows = [_row(cell(titles[first]), firsts, figures, comparison, costs[-1])]
    for index in sorted({kept[method] for method, _ in others if method in kept}):
        then = earlier[index]["figures"]
        values = [then.get(name, {}).get("seeds", []) for name in figures]
        row = [f"{cell(titles[first])} {_mark(index)}", str(max(map(len, values)))]
        rows.append([*row, *map(_mean, values), "1.00", "1.00"])
    for method, own in others:
        title, index = cell(titles[method]), kept.get(method, len(earlier))
        if method in kept:
            title += f" {_mark(index)}"
        rows.append(_row(title, own, figures, comparison, costs[index]))
    lines = [header, ["---"] * len(header), *rows]
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    if len(rows) > len(by_method):
        text += f"\n{_NOTE}\n"
    return text


def _row(
    title: str,
    results: Sequence[Mapping[str, Any]],
    figures: Sequence[str],
    comparison: Mapping[str, Any],
    costs: Mapping[str, Sequence[float]],
) -> list[str]:
    """Return the cells of a method."""
    method = results[0]["method"]
    found = comparison.get("differences", {}).get(method, {})
    # With the groups of the comparison: a run may have left out training images.
    compared = comparison.get("methods", {}).get(method, {}).get("figures", {})
    row = [title, str(len(results))]
    for name in figures:
        values = compared.get(name, {}).get("seeds")
        value = _mean(values or [result["figures"].get(name) for result in results])
        difference = difference_text(found.get(name), len(results))
        row.append(", ".join(filter(None, [value, difference])))
    own = costs_of(results)
    return [*row, *(_ratio(own[key], costs[key]) for key in COSTS)]


def _mark(index: int) -> str:
    return "\u2020" * (index + 1)


def cell(text: str) -> str:
    """Write a title so that it stays in its cell of a table."""
    return shown(text, 200).replace("|", r"\|")


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    spread = f" ± {statistics.stdev(known):.3f}" if len(known) > 1 else ""
    return f"{statistics.fmean(known):.3f}{spread}"


def difference_text(found: Mapping[str, Any] | None, seeds: int = 2) -> str:
    """Write a difference with its interval, in bold where that is without 0.

    Args:
        found: Difference and interval of a comparison; none gives no text.
        seeds: Of the method; of one alone nothing is in bold. Default 2.
    """
    if found is None or found["difference"] is None:
        return ""
    low, high = found["interval"]
    text = f"{found['difference']:+.3f} [{low:+.3f}, {high:+.3f}]"
    stands_out = seeds > 1 and (low > 0 or high < 0)
    return f"**{text}**" if stands_out else text


def _ratio(values: Sequence[float], others: Sequence[float]) -> str:
    """Return the ratio of the means; of runs that were killed there is no time."""
    if not values or not others:
        return "-"
    return f"{statistics.fmean(values) / statistics.fmean(others):.2f}"
