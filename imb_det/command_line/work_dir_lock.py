"""One training at a time in a work folder."""

from __future__ import annotations

import logging
import os
import socket
import time
from pathlib import Path
from typing import IO

from mmengine.logging import print_log

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["lock_work_dir"]

_NAME = ".training"
#: What launchers call the number of a process; the first that is set counts.
_RANKS = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK")
_held: dict[str, IO[str]] = {}  # open as long as this process lives


def lock_work_dir(work_dir: str | Path) -> None:
    """Take a work folder for the training of this process, until it ends.

    Two trainings in one folder would overwrite each other's config, checkpoints and
    ``last_checkpoint``; those that start within a second share a log as well. The lock
    goes with the process, also when it is killed. Rank 0 takes it for all.

    Args:
        work_dir: Made if it is not there.

    Raises:
        BlockingIOError: Another process trains there; names it.
    """
    rank = next((os.environ[name] for name in _RANKS if name in os.environ), "0")
    path = Path(work_dir).resolve() / _NAME
    if fcntl is None or rank != "0" or str(path) in _held:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+", encoding="utf-8")
    try:
        # Of the process: data workers, its children, do not hold it.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        file.seek(0)
        owner = file.read().strip() or "another process"
        file.close()
        raise BlockingIOError(
            f"{work_dir} is the work folder of a training that runs: {owner}. Give "
            "this one another with `--work-dir`, or wait for the other"
        ) from None
    except OSError as error:  # a file system without locks
        print_log(f"{path} cannot be locked: {error}", "current", logging.WARNING)
    file.truncate(0)
    started = time.strftime("%Y-%m-%d %H:%M:%S")
    file.write(f"process {os.getpid()} on {socket.gethostname()}, since {started}\n")
    file.flush()
    _held[str(path)] = file
