"""Work that one rank does for all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from mmengine.dist import broadcast_object_list, is_main_process

__all__ = ["on_main_process"]

Result = TypeVar("Result")


def on_main_process(work: Callable[[], Result]) -> Result:
    """Run ``work`` on rank 0 and return its result, or raise its error, on all ranks.

    Every rank must call this. Without a process group it is a plain call. A rank that
    waited for the others after an error elsewhere would hang until the time limit, so
    the error travels too.

    Args:
        work: Function without arguments; its result or error must be picklable.

    Returns:
        What ``work`` returned on rank 0.
    """
    outcome: list = [None, None]
    if is_main_process():
        try:
            outcome[0] = work()
        except Exception as failure:
            outcome[1] = failure
    broadcast_object_list(outcome)
    result, error = outcome
    if error is not None:
        raise error
    return result
