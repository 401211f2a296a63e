"""Runs checks, each to its end."""

from __future__ import annotations

from collections.abc import Iterable

from imb_det.core.check_context import Check, CheckContext
from imb_det.core.finding import Finding, Severity

__all__ = ["refusal", "run_checks"]


def run_checks(context: CheckContext, checks: Iterable[Check]) -> list[Finding]:
    """Collect what checks find.

    A check that cannot go on, as a file is no longer there or an entry cannot be read,
    is a finding itself, and the others run all the same.

    Args:
        context: What to look at.
        checks: See :data:`imb_det.checks.CHECKS`.

    Returns:
        Findings, each once.
    """
    found: dict[Finding, None] = {}
    for check in checks:
        try:
            for finding in check(context):
                found[finding] = None
        except (ValueError, OSError) as error:
            failed = "a check cannot go on"
            found[refusal(check.__name__, failed, error)] = None
    return list(found)


def refusal(code: str, what: str, error: Exception, where: str = "") -> Finding:
    """Turn the error of a part that checks itself into a finding."""
    return Finding(code, Severity.ERROR, what, where, str(error))
