"""What checks find, one form for all of them, and how it is told."""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum

from mmengine.logging import print_log

__all__ = [
    "Finding",
    "FindingsError",
    "Severity",
    "raise_findings",
    "refusal",
    "render",
]

#: Findings that a text names of each kind.
MAX_NAMED = 5


class Severity(str, Enum):
    """How bad a finding is; in the order in which findings are told."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True)
class Finding:
    """One thing that a check has found.

    Args:
        code: Kind of the finding, such as ``'no_area'``; never changes.
        severity: Errors stop a training, warnings are logged.
        what: What is wrong, in words that are the same for all findings of a kind.
        where: File and entry, part of the model, or line of the config.
        evidence: What stands there.
        remedy: What to do, with the line of the config to write.

    Example:
        >>> print(Finding("no_area", Severity.ERROR, "boxes without area", "a.xml"))
        error no_area: boxes without area: a.xml
    """

    code: str
    severity: Severity
    what: str
    where: str = ""
    evidence: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        text = f"{self.severity.value} {self.code}: {self.what}"
        if self.place:
            text += f": {self.place}"
        return text + f". {self.remedy}" * bool(self.remedy)

    @property
    def place(self) -> str:
        """Where it is and what stands there."""
        return ": ".join(part for part in (self.where, self.evidence) if part)

    def to_dict(self) -> dict[str, str]:
        """Return plain text, ready for JSON."""
        return {**asdict(self), "severity": self.severity.value}

    def at_most(self, severity: Severity) -> Finding:
        """Return the finding, or a less severe one in its place."""
        order = list(Severity)
        if order.index(self.severity) >= order.index(severity):
            return self
        return replace(self, severity=severity)


class FindingsError(ValueError):
    """Everything that forbids to go on, in one error.

    Args:
        findings: Errors, and what else belongs to them.
        title: First line of the message. Default: none.
    """

    def __init__(self, findings: Sequence[Finding], title: str = "") -> None:
        super().__init__(tuple(findings), title)  # so that it can be pickled
        self.findings = tuple(findings)
        self.title = title

    def __str__(self) -> str:
        return render(self.findings, self.title)


def refusal(code: str, what: str, error: Exception, where: str = "") -> Finding:
    """Turn the error of a part that checks itself into a finding.

    Args:
        code: As for :class:`Finding`, like the next.
        what: What could not be done.
        error: Why. One that says nothing to users, neither a ``ValueError`` nor an
            ``OSError``, is logged with its traceback.
        where: Which part. Default: none.
    """
    text = str(error)
    if not isinstance(error, (ValueError, OSError)):
        text = "".join(traceback.format_exception_only(error)).strip()
        trace = "".join(traceback.format_exception(error))
        print_log(f"{code}: {what}\n{trace}", logger="current", level=logging.ERROR)
    return Finding(code, Severity.ERROR, what, where, text)


def render(
    findings: Iterable[Finding], title: str = "", max_named: int = MAX_NAMED
) -> str:
    """Write findings as a block of text: errors first, each kind together.

    Args:
        findings: In any order; within a kind, the first are named.
        title: First line, before the numbers. Default: none.
        max_named: Findings named of each kind, >= 1. Default: 5.

    Returns:
        The numbers; for each kind, a line with what it is and how many there are, one
        for each named finding, and the remedies.

    Example:
        >>> found = [
        ...     Finding("no_area", Severity.WARNING, "boxes without area", "a.xml"),
        ...     Finding("missing", Severity.ERROR, "missing files", "b.jpg"),
        ... ]
        >>> print(render(found, "BCCD"))
        BCCD: 1 error, 1 warning
          error missing: missing files: 1
            b.jpg
          warning no_area: boxes without area: 1
            a.xml
    """
    kinds: dict[tuple[Severity, str], list[Finding]] = {}
    for finding in findings:
        kinds.setdefault((finding.severity, finding.code), []).append(finding)
    order = list(Severity)
    number: Counter[Severity] = Counter()
    lines = []
    for severity, code in sorted(kinds, key=lambda kind: order.index(kind[0])):
        group = kinds[severity, code]
        number[severity] += len(group)
        what = " ".join(group[0].what.splitlines())
        lines.append(f"  {severity.value} {code}: {what}: {len(group)}")
        lines += _entries(group, max_named)
    sizes = ", ".join(
        f"{number[s]} {s.value}" + "s" * (number[s] > 1 and s is not Severity.INFO)
        for s in order
        if number[s]
    )
    head = ": ".join(part for part in (title, sizes or "nothing found") if part)
    return "\n".join([head, *lines])


def _entries(group: Sequence[Finding], max_named: int) -> list[str]:
    """Write the first findings of a kind, how many more there are, and the remedies."""
    named = group[:max_named]
    texts = []
    for found in named:
        others = "" if found.what == group[0].what else found.what
        texts.append(": ".join(part for part in (others, found.place) if part))
    lines = [_line(text) for text in texts if text]
    if more := len(group) - len(named):
        lines.append(f"    ... and {more} more")
    remedies = dict.fromkeys(f.remedy for f in named if f.remedy)
    return lines + [_line(remedy) for remedy in remedies]


def _line(text: str) -> str:
    """Keep a text, of another library perhaps, in one line."""
    return "    " + " ".join(text.splitlines())


def raise_findings(
    findings: Iterable[Finding], title: str = "", max_named: int = MAX_NAMED
) -> None:
    """Log what is no error, and raise all errors at once.

    Args:
        findings: What checks have found.
        title: Who tells it, and of what. Default: nothing.
        max_named: Findings named of each kind in the log. Default: 5.

    Raises:
        FindingsError: With all errors.
    """
    everything = list(findings)
    for severity, level in (
        (Severity.WARNING, logging.WARNING),
        (Severity.INFO, logging.INFO),
    ):
        group = [f for f in everything if f.severity is severity]
        if group:
            print_log(render(group, title, max_named), logger="current", level=level)
    errors = [f for f in everything if f.severity is Severity.ERROR]
    if errors:
        raise FindingsError(errors, title)
