"""What is known of a run from its folder: what was tried, and what is finished."""

from __future__ import annotations

import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from imb_det.analysis.measuring import processor
from imb_det.analysis.run_log import read_run_log

from .files import write_file
from .plan import Run

__all__ = ["RunState", "collect", "progress", "status"]

_PACKAGES = (
    "imb-det",
    "torch",
    "numpy",
    "onedl-mmdetection",
    "onedl-mmcv",
    "onedl-mmengine",
    "mmdet",
    "mmcv",
    "mmengine",
)


class RunState:
    """The attempts at a run, in ``state.json`` of its folder.

    Args:
        run: The run.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.path = run.work_dir / "state.json"
        self.attempts: list[dict[str, Any]] = []
        self.digest = run.digest
        content = _read_json(self.path)
        if content is not None:
            self.digest = content.get("digest", "")
            self.attempts = content.get("attempts", [])
        elif run.work_dir.is_dir() and any(run.work_dir.iterdir()):
            self.digest = ""  # of whom, nobody knows

    @property
    def result(self) -> dict[str, Any] | None:
        """The result, where the run is finished as it is planned now."""
        found = _read_json(self.run.work_dir / "result.json")
        return found if found and found.get("digest") == self.run.digest else None

    def succeeded(self, step: str) -> bool:
        """Whether a step of the run has succeeded."""
        return any(a["step"] == step and a["code"] == 0 for a in self.attempts)

    def enter(self) -> None:
        """Make the folder; what is there of another config is moved aside."""
        folder = self.run.work_dir
        if self.digest != self.run.digest:
            number = 1
            while (old := folder.with_name(f"{folder.name}.old{number}")).exists():
                number += 1
            folder.rename(old)
            self.digest, self.attempts = self.run.digest, []
        folder.mkdir(parents=True, exist_ok=True)
        self._write()

    def begin(self, step: str) -> None:
        """Write down that a step begins, so that one that is killed is known."""
        self.attempts.append(dict(step=step, code=None))
        self._write()

    def end(self, code: int, seconds: float, cpu_seconds: float, memory: int) -> None:
        """Write down how the step has ended that has begun.

        Args:
            code: Exit code; below 0 the number of a signal.
            seconds: That it took.
            cpu_seconds: Of all its threads and processes.
            memory: Most that one of its processes took, bytes.
        """
        self.attempts[-1].update(
            code=code,
            seconds=round(seconds, 1),
            cpu_seconds=round(cpu_seconds, 1),
            memory=memory,
        )
        self._write()

    def _write(self) -> None:
        content = dict(digest=self.digest, attempts=self.attempts)
        _write_json(self.path, content)


def collect(state: RunState) -> dict[str, Any]:
    """Write ``result.json``: figures, classes, time, memory, versions, digest.

    Times are those of a training that went through; None where it was killed and went
    on, as nobody knows how much was done twice.

    Args:
        state: Of a run that is trained, tested and reported.
    """
    run = state.run
    report = json.loads((run.work_dir / "report.json").read_text(encoding="utf-8"))
    training = [a for a in state.attempts if a["step"] == "train"]
    steps = [points[0][-1] for points in read_run_log(run.work_dir).train.values()]
    result = dict(
        dataset=run.dataset,
        method=run.method,
        seed=run.seed,
        figures=report["figures"],
        classes={row["class"]: row["AP"] for row in report["classes"]},
        iterations=int(max(steps, default=0)),
        seconds=training[0]["seconds"] if len(training) == 1 else None,
        cpu_seconds=training[0]["cpu_seconds"] if len(training) == 1 else None,
        memory_gb=round(training[-1]["memory"] / (1 << 30), 3),
        versions=_versions(),
        machine=processor("cuda" if torch.cuda.is_available() else "cpu"),
        digest=run.digest,
    )
    _write_json(run.work_dir / "result.json", result)
    return result


def status(run: Run) -> str:
    """Say in a word how far a run is."""
    state = RunState(run)
    if state.result is not None:
        return "finished"
    if not state.attempts or state.digest != run.digest:
        return "not begun"
    return "failed" if (state.attempts[-1]["code"] or 0) > 0 else "begun"


def progress(run: Run) -> float:
    """Return which share of its training a run has behind it, 0 to 1."""
    config = run.config.train_cfg
    record = _last_record(run.work_dir)
    if config.get("by_epoch", True) and "max_epochs" in config:
        # The epoch that is being trained is half done on average.
        done = max(record.get("epoch", 0) - 0.5, 0)
        return min(done / max(config["max_epochs"], 1), 1.0)
    return min(record.get("step", 0) / max(config.get("max_iters") or 1, 1), 1.0)


def _last_record(work_dir: Path) -> dict[str, Any]:
    """Return what a training logged last, but for its validations."""
    logs = sorted(work_dir.glob("*/vis_data/scalars.json"))
    text = logs[-1].read_text(encoding="utf-8", errors="replace") if logs else ""
    for line in reversed(text.splitlines()):
        try:
            record = json.loads(line)
        except ValueError:  # being written
            continue
        if isinstance(record, dict) and "epoch" in record:
            return record
    return {}


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _read_json(path: Path) -> dict[str, Any] | None:
    """Return the content of a file; None where there is none, or it was cut."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_file(path, json.dumps(content, indent=1) + "\n")
