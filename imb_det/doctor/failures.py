"""Parts of a config that are absent or cannot be built, as findings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from imb_det.core.finding import Finding, Severity, refusal

__all__ = ["absent_part", "failed_part"]

_WHAT = "a part of the config cannot be built"


def absent_part(part: str) -> Finding:
    """Say that a training is without a part.

    Args:
        part: Key of the config.
    """
    return Finding(
        "nothing_to_train",
        Severity.ERROR,
        "a config of a training lacks a part",
        f"`{part}`",
        remedy="Name the config of a training, or `_base_` one",
    )


def failed_part(code: str, where: str, error: BaseException) -> Finding:
    """Tell why a part cannot be built, in one line.

    Args:
        code: Kind of the finding.
        where: The part.
        error: With which it failed.
    """
    if isinstance(error, (ValueError, OSError)):
        found = refusal(code, _WHAT, error, where)
        if isinstance(error, FileNotFoundError):
            remedy = f"Correct the path there; relative ones begin at {Path.cwd()}"
            found = replace(found, remedy=remedy)
        return found
    kind = type(error).__name__
    text = " ".join(str(error).split()) or kind
    evidence = text if kind in text else f"{kind}: {text}"
    return Finding(code, Severity.ERROR, _WHAT, where, evidence)
