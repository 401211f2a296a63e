"""Doing the runs of an experiment, several at once."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from tqdm import tqdm

from .claim import Claim
from .execution import Execution
from .plan import Experiment, Run
from .state import RunState, progress

__all__ = ["finished_results", "run_all"]

_EVERY = 2.0  # seconds between two looks


def run_all(
    experiment: Experiment,
    tools: Path,
    processes: int = 1,
    threads: int | None = None,
    tell: Callable[[str], None] = tqdm.write,
) -> dict[str, str]:
    """Do all runs that are not finished.

    Runs that another process is at are left to it, and waited for. Where this one is
    interrupted or killed, its commands end with it; the next call goes on from there.

    Args:
        experiment: The experiment.
        tools: Folder of ``train.py``, ``test.py`` and ``report.py``.
        processes: Runs at once, >= 1. Default 1.
        threads: Of each, >= 1; None shares the cores among them. Default: None.
        tell: What says that a run is finished, or has failed.

    Returns:
        What went wrong in runs that failed, such as the last lines of their logs, by
        name of the run.

    Raises:
        KeyboardInterrupt: After an interrupt or a request to end.
    """
    threads = threads or max((os.cpu_count() or 1) // processes, 1)
    left = [run for run in experiment.runs if RunState(run).result is None]
    done = len(experiment.runs) - len(left)
    failed: dict[str, str] = {}
    active: list[Execution] = []
    before: dict[str, float] = {}

    def fail(run: Run, words: str) -> None:
        failed[run.name] = words
        tell(f"failed: {run.name}: {words}\n(all in {run.work_dir / 'run.log'})")

    with _bar(len(experiment.runs), done) as bar, _ends_as_interrupt():
        try:
            while left or active:
                for run in list(left):
                    if len(active) == processes:
                        break
                    try:
                        claim = Claim.take(run.work_dir)
                    except OSError as error:  # read-only, or without locks
                        left.remove(run)
                        fail(run, f"{error!r}")
                        continue
                    if claim is None:
                        continue
                    left.remove(run)
                    if RunState(run).result is not None:  # by another process
                        claim.release()
                        continue
                    active.append(Execution(experiment, run, claim, tools, threads))
                for one in list(active):
                    if one.poll():
                        continue
                    active.remove(one)
                    if one.fault:
                        fail(one.run, one.fault)
                    else:
                        tell(f"finished: {one.run.name}")
                _show(bar, experiment, left, active, before)
                if left or active:
                    time.sleep(_EVERY)
        finally:
            for one in active:
                one.stop()
    return failed


def finished_results(experiment: Experiment) -> list[dict[str, Any]]:
    """Return the results of all runs that are finished as they are planned now."""
    found = (RunState(run).result for run in experiment.runs)
    return [result for result in found if result is not None]


def _bar(total: int, done: int) -> Any:
    return tqdm(
        total=total,
        initial=done,
        unit="run",
        smoothing=0,
        mininterval=_EVERY if sys.stderr.isatty() else 60,
        bar_format="{n:.1f}/{total} runs |{bar}| {elapsed}<{remaining}{postfix}",
    )


def _show(
    bar: Any,
    experiment: Experiment,
    left: list[Run],
    active: list[Execution],
    before: dict[str, float],
) -> None:
    """Draw how far all is; parts of runs count."""
    shares = {one.run.name: progress(one.run) for one in active}
    # What a run had behind it when it went on took none of the time of this call.
    new = {name: share for name, share in shares.items() if name not in before}
    before.update(new)
    bar.initial += sum(new.values())
    waiting = len(left) + len(active)
    text = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    bar.set_postfix_str(text or "waits for other processes" * bool(left), refresh=False)
    bar.update(len(experiment.runs) - waiting + sum(shares.values()) - bar.n)


@contextmanager
def _ends_as_interrupt() -> Iterator[None]:
    """Take a request to end, as of a batch system, for an interrupt."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
