"""Compiling a function, with the eager one where there is no compiler."""

from __future__ import annotations

import logging
import types
from collections.abc import Callable, Hashable
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from mmengine.logging import print_log
from torch import Tensor

if TYPE_CHECKING:
    from .terms import Call

__all__ = ["compiled", "compiled_for", "should_compile"]


def should_compile(setting: bool | str, cls_score: Tensor) -> bool:
    """Tell whether to compile for these logits.

    Args:
        setting: True, False, or ``'auto'``: on a GPU.
        cls_score: Logits, (N, K). With fewer than two rows or channels there is
            nothing to gain, and the compiler would make code for just that number.
    """
    if min(cls_score.shape) < 2:
        return False
    return cls_score.is_cuda if setting == "auto" else bool(setting)


def compiled_for(
    function: Callable, loss: object, call: Call, form: Hashable = None
) -> Callable:
    """Return a function compiled for one kind of loss and of call.

    The compiler gives up on a function that has been compiled for too many kinds of
    arguments. So each kind of loss, of labels, weights and numbers has a copy of its
    own, which sees only other numbers of rows and channels.

    Args:
        function: What to compile, with tensors as arguments.
        loss: Whose kind counts.
        call: Whose labels, weights and types count.
        form: What else tells kinds apart.
    """
    weight = call.weight
    kind = (
        type(loss),
        call.cls_score.dtype,
        call.cls_score.device.type,
        call.label.dtype,
        call.label.dim(),
        None if weight is None else (weight.dtype, weight.dim()),
        form,
    )
    return compiled(function, kind)


@cache
def compiled(function: Callable, kind: Hashable = None) -> Callable:
    """Return ``function`` compiled by ``torch.compile``, for tensors of any size.

    It compiles on its first call (about ten seconds on a CPU). Where that fails, as
    without a C++ compiler or Triton, it warns once and runs eagerly from then on.

    Args:
        function: A function of tensors that traces as one graph.
        kind: Of the arguments; for each one a copy of the function is compiled.

    Returns:
        A function of the same arguments; the same one for the same ``function`` and
        ``kind``.
    """
    fast = torch.compile(_copied(function), dynamic=True, fullgraph=True)
    failed = False

    def run(*args: Any, **kwargs: Any) -> Any:
        nonlocal failed
        # Inside of another compilation the code is compiled with what surrounds it.
        if failed or torch.compiler.is_compiling():
            return function(*args, **kwargs)
        try:
            return fast(*args, **kwargs)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            # The eager function judges whether the arguments are at fault.
            result = function(*args, **kwargs)
            failed = True
            reason = next(iter(str(error).strip().splitlines()), "")
            _warn_once(type(error).__name__, reason)
            return result

    return run


@cache
def _warn_once(kind: str, reason: str) -> None:
    print_log(
        f"imb_det: torch.compile failed, losses run eagerly, which is slower "
        f"({kind}: {reason})",
        logger="current",
        level=logging.WARNING,
    )


def _copied(function: Any) -> Callable:
    """Return the same function with code of its own: compilers count by code."""
    if isinstance(function, types.MethodType):
        return types.MethodType(_copied(function.__func__), function.__self__)
    copy = types.FunctionType(
        function.__code__.replace(),
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy
