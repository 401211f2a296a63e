"""Names that the code of classes reads, of options in dictionaries."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from functools import cache
from types import CodeType, FunctionType
from typing import Any

__all__ = ["names_read_by"]


def names_read_by(kinds: Iterable[type]) -> frozenset[str]:
    """Return all names and words in the code of the methods of some classes.

    Options of a dictionary are read as attributes or by their name. What is in no
    method, and in no function of the same file that a method calls, is read by nobody.

    Args:
        kinds: Classes; those that they are derived from are looked at too.
    """
    found: set[str] = set()
    for base in {base for kind in kinds for base in kind.__mro__}:
        found |= _of_class(base)
    return frozenset(found)


@cache
def _of_class(kind: type) -> frozenset[str]:
    found: set[str] = set()
    for member in vars(kind).values():
        member = getattr(member, "__func__", None) or getattr(member, "fget", member)
        member = inspect.unwrap(member) if callable(member) else member
        if isinstance(member, FunctionType):
            found |= _of_function(member)
    return frozenset(found)


def _of_function(function: FunctionType) -> set[str]:
    """Return what a function reads, and functions of a module that it calls."""
    found = _of_code(function.__code__)
    for name in tuple(found):
        called = function.__globals__.get(name)
        called = inspect.unwrap(called) if callable(called) else called
        if isinstance(called, FunctionType) and "mm" in called.__module__[:3]:
            found |= _of_code(called.__code__)
            found |= set(inspect.signature(called).parameters)
    return found


def _of_code(code: CodeType) -> set[str]:
    found = {*code.co_names}
    for value in code.co_consts:
        found |= _words(value)
    return found


def _words(value: Any) -> set[str]:
    if isinstance(value, str):
        return {value}
    if isinstance(value, (tuple, frozenset)):
        return set().union(*map(_words, value)) if value else set()
    return _of_code(value) if isinstance(value, CodeType) else set()
