"""Components that check themselves."""

from __future__ import annotations

from collections.abc import Iterator

from imb_det.core.check_context import CheckContext, SelfChecking
from imb_det.core.finding import Finding

__all__ = ["check_components"]


def check_components(context: CheckContext) -> Iterator[Finding]:
    """Ask every component that has a method ``findings``, hooks for example.

    Args:
        context: With components and hooks.
    """
    everyone = {id(c): c for c in (*context.components, *context.hooks)}
    for component in everyone.values():
        if isinstance(component, SelfChecking):
            yield from component.findings(context)
