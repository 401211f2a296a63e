"""Checks of arguments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["check_choice", "check_number", "is_number", "refuse_idle"]

_NUMBERS = (int, float, np.integer, np.floating)


def is_number(value: object) -> bool:
    """Tell whether a value is a number of Python or numpy; True and False are none."""
    return isinstance(value, _NUMBERS) and not isinstance(value, bool)


def check_choice(owner: str, name: str, value: Any, choices: Sequence[Any]) -> None:
    """Raise ValueError unless ``value`` is one of ``choices``, in type as well."""
    if not any(value is c or (value == c and type(value) is type(c)) for c in choices):
        raise ValueError(f"{owner}: `{name}` must be one of {choices}, got {value!r}")


def check_number(
    owner: str,
    name: str,
    value: Any,
    low: float,
    high: float | None,
    *,
    open_ends: bool = False,
) -> None:
    """Raise unless ``value`` is a finite number of a range.

    Raises:
        TypeError: No number.
        ValueError: Out of range.
    """
    if not is_number(value):
        raise TypeError(f"{owner}: `{name}` must be a number, got {value!r}")
    inside = low < value if open_ends else low <= value
    if high is not None:
        inside = inside and (value < high if open_ends else value <= high)
    if not (inside and math.isfinite(value)):
        left, right = "()" if open_ends else "[]"
        end = "inf)" if high is None else f"{high}{right}"
        raise ValueError(
            f"{owner}: `{name}` must be in {left}{low}, {end}, got {value!r}"
        )


def refuse_idle(owner: str, why: str, **options: tuple[Any, Any]) -> None:
    """Refuse options that are set and have no effect.

    Args:
        owner: Name of the component.
        why: What leaves them without one, such as "with `sampled=False`".
        **options: What is given and what is usual, for each name.

    Raises:
        ValueError: Some are not as usual; names them.
    """
    if idle := [name for name, (given, usual) in options.items() if given != usual]:
        raise ValueError(f"{owner}: {idle} have no effect {why}: leave them out")
