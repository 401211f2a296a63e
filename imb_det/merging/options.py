"""Options of ``tools/merge_checkpoints.py``, and the rules that have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["read_parts", "refuse_unused"]

#: Options that only some rules have.
_OF_RULES = {
    "values": ("wise_ft", "task_arithmetic", "ties"),
    "parts": ("wise_ft", "task_arithmetic", "ties"),
    "keep": ("ties",),
    "steps": ("position",),
    "by_part": ("position",),
}


def refuse_unused(args: Any) -> None:
    """Refuse options that the rule does not have, and numbers below 1.

    Args:
        args: Parsed arguments, with ``rule``, ``images`` and those of the rules.

    Raises:
        ValueError: Such an option; names the rules that have it.
    """
    for name, rules in _OF_RULES.items():
        if getattr(args, name) not in (None, False) and args.rule not in rules:
            option = name.replace("_", "-")
            raise ValueError(f"`--{option}` is for {rules}, not for {args.rule}")
    for name in ("steps", "images"):
        if (number := getattr(args, name)) is not None and number < 1:
            raise ValueError(f"`--{name}` must be at least 1, got {number}")


def read_parts(texts: Sequence[str]) -> dict[str, float]:
    """Read ``PART=VALUE``, several of them.

    Args:
        texts: As given.

    Raises:
        ValueError: Another form, or a part that stands twice.
    """
    found: dict[str, float] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name in found:
            raise ValueError(f"`--parts` has {name!r} twice")
        try:
            found[name] = float(value)
        except ValueError:
            raise ValueError(
                f"`--parts` must be such as backbone=0.2 head=0.8, got {text!r}"
            ) from None
    return found
