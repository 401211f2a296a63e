"""Tables of an experiment, from results and a comparison."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from imb_det.core.shown_text import shown

from .kept_rows import kept_notes

__all__ = ["cell", "difference_text", "markdown_table"]

#: What is shown, by the name of the figure.
_FIGURES = {
    **{name: name for name in ("AP", "APr", "APc", "APf")},
    "top1_r": "top-1 rare",
    "top1_c": "top-1 common",
    "top1_f": "top-1 frequent",
}


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
    are relative to the first method. Rows that are compared with trainings of another
    machine are marked, see :func:`.keep_rows`.

    Args:
        results: Of one data set.
        titles: Of the methods, by name, in the order of the table; those without a
            result are left out.
        comparison: What ``compare_runs`` has written. Default: None, no differences.
    """
    by_method = {
        method: [result for result in results if result["method"] == method]
        for method in titles
    }
    by_method = {method: own for method, own in by_method.items() if own}
    if not by_method:
        return "no results\n"
    first = next(iter(by_method.values()))
    figures = [name for name in _FIGURES if name in first[0]["figures"]]
    header = ["method", "seeds", *(_FIGURES[name] for name in figures)]
    header += ["time", "memory"]
    marks, notes = kept_notes(comparison or {}, figures)
    rows = []
    for method, own in by_method.items():
        found = (comparison or {}).get("differences", {}).get(method, {})
        methods = (comparison or {}).get("methods", {})
        # With the groups of the comparison: a run may have left out training images.
        compared = methods.get(method, {}).get("figures", {})
        title = " ".join(filter(None, [cell(titles[method]), marks.get(method)]))
        row = [title, str(len(own))]
        for name in figures:
            values = compared.get(name, {}).get("seeds")
            value = _mean(values or [result["figures"].get(name) for result in own])
            difference = difference_text(found.get(name), len(own))
            row.append(", ".join(filter(None, [value, difference])))
        row += [_ratio(own, first, key) for key in ("cpu_seconds", "memory_gb")]
        rows.append(row)
    lines = [header, ["---"] * len(header), *rows]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return table + "".join(f"\n{note}\n" for note in notes)


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


def _ratio(
    results: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]], key: str
) -> str:
    """Return the ratio of what is known; a run that was killed has no time."""
    found = [[r[key] for r in own if r[key] is not None] for own in (results, others)]
    if not all(found):
        return "-"
    return f"{statistics.fmean(found[0]) / statistics.fmean(found[1]):.2f}"
