"""The checkpoint that ``--resume`` goes on from."""

from __future__ import annotations

import logging
import zipfile
from pathlib import Path

from mmengine.logging import print_log

__all__ = ["find_resume_point", "resume_point"]

_POINTER = "last_checkpoint"  # mmengine writes the path of the latest into it


def resume_point(work_dir: str | Path, wanted: str | None = None) -> str | None:
    """Return the checkpoint that is asked for, if it is whole, else the newest.

    Args:
        work_dir: Of the training that is to go on.
        wanted: Path or address of a checkpoint. Default: None, the newest.

    Raises:
        FileNotFoundError: It is empty, cut or damaged, or all are.
    """
    if wanted is None:
        return find_resume_point(work_dir)
    fault = _fault_of(Path(wanted)) if Path(wanted).is_file() else None
    if fault is not None:
        raise FileNotFoundError(f"{wanted} cannot be resumed from: {fault}")
    return wanted


def find_resume_point(work_dir: str | Path) -> str | None:
    """Return the newest whole checkpoint of a work folder.

    It is the one that ``last_checkpoint`` names, as mmengine takes it, where that file
    and the checkpoint are whole. A training that is killed may leave either empty or
    cut, and a folder that has moved names a place that is no more: then it is the
    newest other one, with a warning that names what was skipped.

    Args:
        work_dir: Of the training that is to go on.

    Returns:
        Its path; None where there is no checkpoint at all, so that a training begins.

    Raises:
        FileNotFoundError: There are checkpoints, but none is whole.
    """
    folder = Path(work_dir)
    skipped = []
    pointer = folder / _POINTER
    candidates = sorted(
        (path for path in folder.glob("*.pth") if not path.name.startswith("best_")),
        key=lambda path: (path.stat().st_mtime_ns, path.name),
        reverse=True,
    )
    if pointer.is_file():
        named = pointer.read_text(encoding="utf-8", errors="replace").strip(" \n\r\t\0")
        if "://" in named:
            return named
        # The folder may have another name than when it was written.
        places = (Path(named), folder / Path(named).name)
        # DeepSpeed and its like write folders, and check them themselves. Of a pointer
        # that is cut there may be the folder of all that is left.
        above = (folder.resolve(), *folder.resolve().parents)
        folders = [p for p in places if p.is_dir() and p.resolve() not in above]
        if named and folders:
            return str(folders[0])
        found = [path for path in places if path.is_file()]
        if named and found:
            candidates = [found[0], *(p for p in candidates if p != found[0])]
        else:
            skipped.append(
                f"{pointer}: {'no such file: ' + named if named else 'empty'}"
            )
    for path in candidates:
        fault = _fault_of(path)
        if fault is None:
            if skipped:
                print_log(
                    f"Resuming from {path}; skipped {'; '.join(skipped)}",
                    logger="current",
                    level=logging.WARNING,
                )
            return str(path)
        skipped.append(f"{path}: {fault}")
    if skipped:
        raise FileNotFoundError(
            f"no checkpoint in {folder} can be resumed from: {'; '.join(skipped)}. "
            "Give one with `--resume CHECKPOINT`, or train anew without `--resume`"
        )
    return None


def _fault_of(path: Path) -> str | None:
    """Say what is wrong with a checkpoint, without loading it."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
        if not start:
            return "empty"
        if not any(start):  # of a file whose end alone had been written
            return "filled with zeros"
        if not start.startswith(b"PK"):  # in a form of its own; loading it will tell
            return None
        with zipfile.ZipFile(path) as content:
            damaged = content.testzip()
    except zipfile.BadZipFile:
        return "cut, or damaged"
    except OSError as error:
        return str(error)
    return None if damaged is None else f"damaged ({damaged})"
