"""Ranks of a job that end together, with one message."""

from __future__ import annotations

import contextlib
import datetime
import logging
import multiprocessing
import os
import sys
import textwrap
import traceback
from collections.abc import Callable

import torch.distributed as torch_dist
from torch.distributed.elastic.multiprocessing.errors import get_error_handler

__all__ = ["run_as_rank"]

_KEY = "imb_det/failure"
_SECONDS = 5  # that the store of the process group has to answer


def run_as_rank(main: Callable[[], None]) -> None:
    """Run the main function of a tool; a tool's last line.

    A rank that fails exits at once, with a code that is not 0, so that ``torchrun``
    ends the others within seconds: it does not wait for data workers, nor for
    collectives in which the others will never be. It tells its reason to the store of
    the process group first. The other ranks fail in the collective in which they were
    waiting for it, and say in one line which rank was the first; ``torchrun`` names it
    in its summary too.

    Without other ranks it is a plain call.

    Args:
        main: Function without arguments.
    """
    try:
        main()
    except BaseException as error:
        is_end = isinstance(error, SystemExit) and not error.code
        is_alone = not torch_dist.is_initialized() or torch_dist.get_world_size() == 1
        if is_end or is_alone:
            raise
        if _is_first(error):
            # For the summary of torchrun.
            get_error_handler().record_exception(error)
            traceback.print_exception(error)
        code = error.code if isinstance(error, SystemExit) else 1
        _leave(code if isinstance(code, int) else 1)


def _is_first(error: BaseException) -> bool:
    """Tell whether no other rank failed before, and say which did."""
    rank = torch_dist.get_rank()
    head = textwrap.shorten(f"{type(error).__name__}: {error}", 300)
    first = f"rank {rank}: {head}"
    with contextlib.suppress(Exception):  # no store, or none that answers any more
        store = torch_dist.distributed_c10d._get_default_store()
        store.set_timeout(datetime.timedelta(seconds=_SECONDS))
        mine = first
        first = store.compare_set(_KEY, "", mine).decode()
        if first != mine:
            who, _, why = first.partition(": ")
            here = textwrap.shorten(head, 100)
            text = f"rank {rank} ends, as {first} (here: {here})"
            if why == head:
                text = f"rank {rank} ends for the same reason as {who}"
            print(text, file=sys.stderr)
            return False
    print(f"rank {rank} is the first to fail:", file=sys.stderr)
    return True


def _leave(code: int) -> None:
    """Exit without what waits for others at the end of a process."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    for child in multiprocessing.active_children():
        child.terminate()
    os._exit(code)
