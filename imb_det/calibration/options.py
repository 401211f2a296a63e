"""Options of the methods of ``tools/calibrate.py``, each given to its own method."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from .fitting import METHODS

__all__ = ["numbers_by_method"]


def numbers_by_method(
    methods: Sequence[str],
    value: Sequence[str] | None = None,
    values: Sequence[str] | None = None,
) -> dict[str, dict[str, Any]]:
    """Read ``--value`` and ``--values``.

    Args:
        methods: Names of the methods that are fitted.
        value: ``NUMBER`` or ``NAME=NUMBER``, one for a method at most. Default None.
        values: The same, several for a method. Default None.

    Returns:
        Arguments ``value`` and ``values`` of :meth:`.CalibrationSession.fit`, by the
        name of the method; those of methods without any are empty.

    Raises:
        ValueError: No number, the name of another method, a number that could be of
            several methods, or two for ``--value`` of one; a method for logits behind
            one for scores.
    """
    for before, name in pairwise(methods):
        if METHODS[name].of_logits and not METHODS[before].of_logits:
            raise ValueError(
                f"{name} changes logits, which come before scores: name it before "
                f"{before}"
            )
    found: dict[str, dict[str, Any]] = {name: {} for name in methods}
    for name, numbers in _read("--values", methods, values or ()).items():
        found[name]["values"] = numbers
    for name, numbers in _read("--value", methods, value or ()).items():
        if len(numbers) > 1:
            raise ValueError(
                f"`--value` is one number for each method, got {numbers} for {name}; "
                "several to try are `--values`"
            )
        (found[name]["value"],) = numbers
    return found


def _read(
    option: str, methods: Sequence[str], texts: Sequence[str]
) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for text in texts:
        name, separator, number = text.rpartition("=")
        if not separator:
            name = _owner(option, methods, text)
        elif name not in methods:
            raise ValueError(
                f"`{option} {text}`: {name!r} is none of the methods that are fitted, "
                f"{list(methods)}"
            )
        try:
            found.setdefault(name, []).append(float(number))
        except ValueError:
            raise ValueError(
                f"`{option}` must be numbers, such as 0.5 or {name}=0.5, got {text!r}"
            ) from None
    return found


def _owner(option: str, methods: Sequence[str], text: str) -> str:
    """Return the method that a number without a name is of."""
    names = list(dict.fromkeys(methods))
    if len(names) == 1:
        return names[0]
    able = [
        name
        for name in names
        if METHODS[name].option and (option == "--value" or METHODS[name].values)
    ]
    if len(able) == 1:
        return able[0]
    if not able:
        raise ValueError(f"none of {names} has an option that `{option}` could set")
    raise ValueError(
        f"`{option} {text}` could be of {' or '.join(able)}; write {able[0]}={text}"
    )
