"""Compiling a function, with the eager one where there is no compiler."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from mmengine.logging import print_log

__all__ = ["compiled"]


@cache
def compiled(function: Callable) -> Callable:
    """Return ``function`` compiled by ``torch.compile``, for any number of rows.

    It compiles on its first call (about ten seconds on a CPU). Where that fails, as
    without a C++ compiler or Triton, it warns once and runs eagerly from then on.

    Args:
        function: A function of tensors that traces as one graph.

    Returns:
        A function of the same arguments; the same one for the same ``function``.
    """
    fast = torch.compile(function, dynamic=True, fullgraph=True)
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
            print_log(
                f"imb_det: torch.compile failed, losses run eagerly, which is slower "
                f"({type(error).__name__}: {reason})",
                logger="current",
                level=logging.WARNING,
            )
            return result

    return run
