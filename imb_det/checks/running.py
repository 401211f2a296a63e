"""Runs checks, each to its end."""

from __future__ import annotations

from collections.abc import Iterable

from imb_det.core.check_context import Check, CheckContext
from imb_det.core.finding import Finding, refusal

__all__ = ["run_checks"]


def run_checks(context: CheckContext, checks: Iterable[Check]) -> list[Finding]:
    """Collect what checks find.

    A check that cannot go on, as a file is no longer there or an entry cannot be read,
    is a finding itself, and the others run all the same. Errors that no check foresees
    are logged with their traceback as well.

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
        except Exception as error:  # what else was found must be told all the same
            failed = "a check cannot go on"
            found[refusal(check.__name__, failed, error)] = None
    return list(found)
