"""What a work dir of mmengine holds, and what it lacks."""

from __future__ import annotations

from pathlib import Path

__all__ = ["find_checkpoint", "find_config", "find_predictions"]


def find_config(work_dir: str | Path) -> Path:
    """Find the config that the runner wrote: the newest ``*.py`` of the folder.

    Args:
        work_dir: Work dir of a training or test run.

    Raises:
        FileNotFoundError: No folder, or no config in it.
    """
    work_dir = Path(work_dir)
    if not work_dir.is_dir():
        raise FileNotFoundError(f"there is no work dir '{work_dir}'")
    configs = sorted(work_dir.glob("*.py"), key=lambda path: path.stat().st_mtime)
    if not configs:
        raise FileNotFoundError(
            f"'{work_dir}' holds no config (*.py): it is no work dir of "
            "`tools/train.py` or `tools/test.py`"
        )
    return configs[-1]


def find_checkpoint(work_dir: str | Path) -> Path | None:
    """Find the best checkpoint, else the last one, else None."""
    work_dir = Path(work_dir)
    best = sorted(work_dir.glob("best_*.pth"), key=lambda path: path.stat().st_mtime)
    if best:
        return best[-1]
    pointer = work_dir / "last_checkpoint"
    if not pointer.is_file():
        return None
    # The path in it is that of the training machine; the file is beside it.
    beside = work_dir / Path(pointer.read_text(encoding="utf-8").strip()).name
    return beside if beside.is_file() else None


def find_predictions(
    work_dir: str | Path, predictions: str | Path | None = None
) -> Path:
    """Find the predictions of the test set, by default ``predictions.npz``.

    Args:
        work_dir: Work dir of the run.
        predictions: Another file; None for the one of the work dir. Default: None.

    Raises:
        FileNotFoundError: There is no such file; the message holds the command that
            makes it.
    """
    path = Path(predictions or Path(work_dir) / "predictions.npz")
    if path.is_file():
        return path
    older = path.with_suffix(".pkl")
    also = (
        f"\n(there is a pickle, '{older}', which can run any program when it is read; "
        f"if you trust it: --predictions {older} --allow-pickle)"
    )
    checkpoint = find_checkpoint(work_dir)
    raise FileNotFoundError(
        f"there are no predictions '{path}'; this makes them:\n"
        f"python tools/test.py {find_config(work_dir)} "
        f"{checkpoint or 'CHECKPOINT.pth'} --work-dir {work_dir} --out {path}"
        + also
        * older.is_file()
    )
