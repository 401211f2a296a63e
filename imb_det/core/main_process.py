"""Work that one rank does for all."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import TypeVar

from mmengine.dist import broadcast_object_list, get_world_size, is_main_process

__all__ = ["on_main_process"]

Result = TypeVar("Result")


def on_main_process(work: Callable[[], Result]) -> Result:
    """Run ``work`` on rank 0 and return its result, or raise its error, on all ranks.

    Every rank must call this. Without a process group it is a plain call. A rank that
    waited for the others after an error elsewhere would hang until the time limit, so
    the error travels too.

    Args:
        work: Function without arguments. A result that cannot be pickled is an error,
            an error that cannot be pickled becomes a ``RuntimeError`` of its text.

    Returns:
        What ``work`` returned on rank 0.
    """
    outcome: list = [None, None]
    if is_main_process():
        try:
            outcome[0] = work()
        except Exception as failure:
            outcome[1] = failure
        if get_world_size() > 1:
            outcome = _picklable(outcome)
    broadcast_object_list(outcome)
    result, error = outcome
    if error is not None:
        raise error
    return result


def _picklable(outcome: list) -> list:
    """Return the outcome, or its error in a form that certainly can be sent."""
    try:
        pickle.loads(pickle.dumps(outcome))
    except Exception as failure:
        return [None, RuntimeError(repr(outcome[1] or failure))]
    return outcome
