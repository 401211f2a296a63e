"""Who is at a run: one process at a time, of all that share the folder."""

from __future__ import annotations

import fcntl
from pathlib import Path
from types import TracebackType
from typing import IO

__all__ = ["Claim"]


class Claim:
    """A lock of a run's folder, which goes with the processes that hold it.

    The commands of the run inherit it: where the runner is killed and its training goes
    on, the run is still taken.

    Args:
        file: Open and locked; see :meth:`take`.
    """

    def __init__(self, file: IO[str]) -> None:
        self.file = file

    @classmethod
    def take(cls, work_dir: Path) -> Claim | None:
        """Take a run; None where another process has it.

        Args:
            work_dir: Of the run; it is made. The lock is a file beside it.
        """
        work_dir.parent.mkdir(parents=True, exist_ok=True)
        file = work_dir.with_name(f".{work_dir.name}.claim").open("a", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return cls(file)

    def release(self) -> None:
        """Let others take the run."""
        self.file.close()

    def __enter__(self) -> Claim:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
