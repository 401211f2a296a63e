"""The diagnosis as one page of HTML, which needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from imb_det.core.finding import Finding, Severity
from imb_det.core.shown_text import write_text

from .context import DoctorContext
from .data_checks.class_tables import objects_of
from .diagnosis import Diagnosis
from .page_figures import class_bars, class_sizes, cooccurrence
from .pictures import pictures_of

__all__ = ["write_page"]

_MOST_OF_A_KIND = 50


def write_page(path: Path, diagnosis: Diagnosis, context: DoctorContext | None) -> Path:
    """Write a self-contained page.

    Everything that comes from files, names of classes and paths above all, is escaped.

    Args:
        path: File to write.
        diagnosis: What is told.
        context: What it is about; None where the config could not be read.

    Returns:
        The file.

    Raises:
        OSError: It cannot be written.
    """
    template = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
    patch = None
    if diagnosis.patch is not None:
        patch = Path(diagnosis.patch).read_text(encoding="utf-8")
    stats = context.class_stats if context is not None else None
    counts, _, many = objects_of(stats) if stats is not None else ((), "", "")
    text = template.render(
        config=diagnosis.config_file,
        kinds=_by_kind(diagnosis.findings),
        number={s.value: _number(diagnosis, s) for s in Severity},
        prescription=diagnosis.prescription,
        patch=patch,
        stats=stats,
        groups=stats.describe_groups() if stats is not None else "",
        total=sum(counts),
        many=many,
        bars=class_bars(context) if context is not None else [],
        sizes=class_sizes(context) if context is not None else [],
        pairs=cooccurrence(context) if context is not None else {"names": []},
        pictures=pictures_of(context, diagnosis.findings) if context else [],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    return path


def _number(diagnosis: Diagnosis, severity: Severity) -> int:
    return sum(finding.severity is severity for finding in diagnosis.findings)


def _by_kind(findings: Sequence[Finding]) -> list[dict[str, object]]:
    """Return findings of one code together, errors first, with each remedy once."""
    kinds: dict[tuple[Severity, str], list[Finding]] = {}
    for finding in findings:
        kinds.setdefault((finding.severity, finding.code), []).append(finding)
    order = list(Severity)
    return [
        {
            "severity": severity.value,
            "code": code,
            "what": group[0].what,
            "places": [f.place for f in group if f.place][:_MOST_OF_A_KIND],
            "more": max(len(group) - _MOST_OF_A_KIND, 0),
            "number": len(group),
            "remedies": list(dict.fromkeys(f.remedy for f in group if f.remedy)),
        }
        for (severity, code), group in sorted(
            kinds.items(), key=lambda item: order.index(item[0][0])
        )
    ]
