"""One run that is being done: its commands, one after the other."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from imb_det.command_line.resume_point import find_resume_point

from .claim import Claim
from .plan import Experiment, Run
from .state import RunState, collect

__all__ = ["STEPS", "Execution"]

STEPS = ("train", "test", "report")
_SIGNAL_OF_PARENT = 1  # PR_SET_PDEATHSIG


class Execution:
    """A run in commands of this repository's tools, each a process of its own.

    Steps that have succeeded are not repeated, and a training goes on from its last
    checkpoint. What the commands print goes to ``run.log`` of the run's folder.

    Args:
        experiment: Whose run it is.
        run: The run.
        claim: Of the run, which ends with the execution.
        tools: Folder of ``train.py``, ``test.py`` and ``report.py``.
        threads: Of each command.
    """

    def __init__(
        self, experiment: Experiment, run: Run, claim: Claim, tools: Path, threads: int
    ) -> None:
        self.experiment, self.run, self.claim = experiment, run, claim
        self.tools, self.threads = tools, threads
        self.state = RunState(run)
        self.log = run.work_dir / "run.log"
        self.config = run.work_dir / "config.py"
        self._steps = self._left()
        self._process: subprocess.Popen[bytes] | None = None
        self.step, self.fault = "", ""
        self._started = 0.0

    def poll(self) -> bool:
        """Start what comes next; return whether the run goes on.

        Afterwards :attr:`fault` is empty, or says how the run has failed.
        """
        try:
            goes_on = self._advance()
        except (OSError, ValueError, LookupError, TypeError) as error:
            # No checkpoint, a report that is cut, a full disk: other runs go on.
            self.fault = f"{self.step or 'begin'}: {error!r}"
            goes_on = False
        if not goes_on:
            self.claim.release()
        return goes_on

    def _advance(self) -> bool:
        if self._process is not None:
            pid, status, used = os.wait4(self._process.pid, os.WNOHANG)
            if not pid:
                return True
            code = os.waitstatus_to_exitcode(status)
            self._process.returncode = code  # it is waited for
            self._process = None
            self.state.end(
                code,
                time.monotonic() - self._started,
                used.ru_utime + used.ru_stime,
                used.ru_maxrss << 10,
            )
            if code:
                self.fault = f"{self.step} ended with {code}:\n{self._last_words()}"
                return False
        self.step = next(self._steps, "result")
        if self.step == "result":
            collect(self.state)
            return False
        self.state.begin(self.step)
        self._start(self._command(self.step))
        return True

    def stop(self) -> None:
        """End what runs; the run can be gone on with."""
        if self._process is not None:
            for number in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(self._process.pid, number)
                except ProcessLookupError:
                    break
                try:
                    self._process.wait(timeout=10)
                    break
                except subprocess.TimeoutExpired:
                    continue
            self._process = None
        self.claim.release()

    def _last_words(self, lines: int = 5) -> str:
        """Return the last lines of the log that say something."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        said = [line for line in text.splitlines() if line.strip()]
        return "\n".join(said[-lines:])

    def _left(self) -> Iterator[str]:
        """Enter the folder; yield the steps that have not succeeded, and later ones."""
        self.state.enter()
        self.run.config.dump(self.config)
        done = True
        for step in STEPS:
            done = done and self.state.succeeded(step)
            if not done:
                yield step

    def _command(self, step: str) -> list[str]:
        folder = str(self.run.work_dir)
        if step == "report":
            return [sys.executable, str(self.tools / "report.py"), folder]
        given: Mapping[str, Sequence[str]] = (
            self.experiment.train_command
            if step == "train"
            else self.experiment.test_command
        )
        command = [
            *(given.get("before") or [sys.executable]),
            str(self.tools / f"{step}.py"),
            str(self.config),
        ]
        if step == "test":
            checkpoint = find_resume_point(folder)
            if checkpoint is None:
                raise FileNotFoundError(f"no checkpoint in {folder}")
            command.append(checkpoint)
            command += ["--out", str(self.run.work_dir / "predictions.npz")]
        else:
            command.append("--resume")
        return [*command, "--work-dir", folder, *(given.get("after") or [])]

    def _start(self, command: Sequence[str]) -> None:
        threads = str(self.threads)
        with self.log.open("ab") as log:
            log.write(f"\n$ {' '.join(command)}\n".encode())
            log.flush()
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(os.environ, OMP_NUM_THREADS=threads, MKL_NUM_THREADS=threads),
                pass_fds=[self.claim.file.fileno()],
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        self._started = time.monotonic()


def _end_with_parent() -> None:
    """Let the kernel end this process where the one that has started it is killed."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_SIGNAL_OF_PARENT, signal.SIGTERM)
