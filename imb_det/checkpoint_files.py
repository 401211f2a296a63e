"""Checkpoints, read without running what could be in them where that suffices."""

from __future__ import annotations

import logging
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer, print_log
from torch import Tensor
from torch.hub import load_state_dict_from_url
from torch.serialization import safe_globals

__all__ = [
    "CHECKPOINT_HELP",
    "read_checkpoint",
    "read_checkpoint_of_url",
    "read_weights",
    "without_training",
]

#: What tools say of their checkpoints.
CHECKPOINT_HELP = (
    "weights, optimizer and log of a training are read without running anything; where "
    "there are other objects in it, a WARNING names the first, and reading them can "
    "run any program: take such files only from makers that you trust"
)

#: Parts of checkpoints that only a training needs.
_OF_TRAINING = ("optimizer", "param_schedulers", "message_hub", "ema_state_dict")

#: Statistics that mmengine's log history refers to.
_STATISTICS = ("current", "max", "mean", "min")
#: What readers raise on text, and on files that are cut.
_OF_OTHER_FILES = (
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    UnicodeDecodeError,
)
#: Where torch's messages name an object that it does not read, the best first.
_TOLD = (
    r"GLOBAL ([\w.]+)",
    r"got <class '([\w.]+)'>",
    r"WeightsUnpickler error:\s+([^\n]+)",
)


def read_checkpoint(file: Any, map_location: Any = None, *_: Any, **__: Any) -> Any:
    """Read a checkpoint: weights only where that suffices, else with a warning.

    Beside tensors and plain values, what mmengine writes is read: arrays and numbers of
    NumPy, and the history of the log. Anything else is named in a warning before it is
    read, for that can run any program.

    Args:
        file: Path, or an open binary file.
        map_location: As for ``torch.load``. Default: None.
        *_: Not used; mmengine's reader has more arguments.
        **__: Not used.

    Returns:
        What the checkpoint holds.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is empty, cut, or no checkpoint at all.
    """
    if isinstance(file, (str, Path)):
        file = Path(file).expanduser()
        if not file.is_file():
            raise FileNotFoundError(f"{file} can not be found.")

    def load(weights_only: bool) -> Any:
        if hasattr(file, "seek"):
            file.seek(0)
        return torch.load(file, map_location=map_location, weights_only=weights_only)

    return _read(file, load)


def read_weights(file: Any) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a checkpoint, and the parameters and buffers in it, on the CPU.

    Args:
        file: Path.

    Returns:
        What the checkpoint holds, and tensors by name, as a detector names them that
        nothing wraps.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: There are no tensors in it.
    """
    content = read_checkpoint(file, "cpu")
    state = content.get("state_dict", content) if isinstance(content, dict) else {}
    found = {
        re.sub(r"^module\.", "", str(name)): value
        for name, value in state.items()
        if isinstance(value, Tensor)
    }
    if not found:
        raise ValueError(f"{file} is no checkpoint: there are no weights in it")
    return content, found


def without_training(content: dict[str, Any]) -> dict[str, Any]:
    """Return what a checkpoint holds beside weights, for use without more training.

    Args:
        content: From :func:`read_weights`.
    """
    if "state_dict" not in content:
        return {}
    dropped = (*_OF_TRAINING, "state_dict")
    return {name: value for name, value in content.items() if name not in dropped}


def read_checkpoint_of_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
) -> Any:
    """Download a checkpoint, unless that was done before, and read it as a file.

    Args:
        url: Where it is.
        model_dir: Folder for it; torch's if None. Default: None.
        map_location: As for ``torch.load``. Default: None.
        progress: Whether to show the progress. Default: True.
    """
    arguments = dict(model_dir=model_dir, map_location=map_location, progress=progress)

    def load(weights_only: bool) -> Any:
        return load_state_dict_from_url(url, weights_only=weights_only, **arguments)

    return _read(url, load)


def _read(name: Any, load: Callable[[bool], Any]) -> Any:
    try:
        with safe_globals(_safe_objects()):
            return load(True)
    except pickle.UnpicklingError as error:
        told = (re.search(pattern, str(error)) for pattern in _TOLD)
        named = next(filter(None, told), None)
        reason = named[1] if named else str(error).split("\n")[0]
    except _OF_OTHER_FILES as error:
        _refuse_damaged(name, error)
        raise
    print_log(
        f"{name} holds more than weights and plain values ({reason}). It is read all "
        "the same, which runs whatever its maker has put into it: use it only if you "
        "trust where it comes from.",
        logger="current",
        level=logging.WARNING,
    )
    try:
        return load(False)
    except (*_OF_OTHER_FILES, pickle.UnpicklingError) as error:
        _refuse_damaged(name, error)
        raise


def _refuse_damaged(name: Any, error: Exception) -> None:
    """Name the file that is cut; other errors, as of devices, are what they are."""
    text = str(error).split("\n")[0]
    if isinstance(error, RuntimeError) and "PytorchStreamReader" not in text:
        return
    reason = text or "it is empty"
    raise ValueError(f"{name} is no checkpoint, or is cut short ({reason})") from error


def _statistic(owner: Any, name: str) -> Any:
    """Stand in for ``getattr``, which would reach everything."""
    if owner is not HistoryBuffer or name not in _STATISTICS:
        raise pickle.UnpicklingError(f"Unsupported: attribute {name!r} of {owner!r}")
    return getattr(HistoryBuffer, name)


def _scalar(dtype: np.dtype, content: bytes) -> Any:
    """Stand in for NumPy's function, for plain numbers."""
    if not isinstance(dtype, np.dtype) or dtype.hasobject:
        raise pickle.UnpicklingError(f"Unsupported: a scalar of {dtype!r}")
    return np.frombuffer(content, dtype)[0]


def _array(kind: type, shape: tuple, code: bytes) -> np.ndarray:
    """Stand in for NumPy's function, for plain arrays."""
    if kind is not np.ndarray:
        raise pickle.UnpicklingError(f"Unsupported: an array of {kind!r}")
    return np.ndarray.__new__(np.ndarray, shape, code.decode("ascii"))


def _safe_objects() -> list[Any]:
    """Return what may be made: the types themselves, and stand-ins of functions."""
    objects: list[Any] = [HistoryBuffer, np.ndarray, np.dtype, slice]
    objects += {type(np.dtype(code)) for code in "?bhilqBHILQefdFDSUV"}
    stand_ins: dict[str, Callable[..., Any]] = {"builtins.getattr": _statistic}
    for package in ("numpy.core", "numpy._core"):  # NumPy 1 and 2
        stand_ins[f"{package}.multiarray.scalar"] = _scalar
        stand_ins[f"{package}.multiarray._reconstruct"] = _array
    return objects + [_named(work, path) for path, work in stand_ins.items()]


def _named(work: Callable[..., Any], path: str) -> Callable[..., Any]:
    """Return a function that is known by another name, as ``safe_globals`` reads it."""

    def stand_in(*arguments: Any) -> Any:
        return work(*arguments)

    stand_in.__module__, _, name = path.rpartition(".")
    stand_in.__name__ = stand_in.__qualname__ = name
    return stand_in
