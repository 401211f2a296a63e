"""Counted priors on disk, found again by all that the count depends on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from torch import nn

from imb_det.statistics.cache import checksum, write_whole

from .boxes import TrainingBoxes
from .foreground_prior import ForegroundPrior

__all__ = ["content_key", "load_prior", "store_prior"]

# Raise it when counting changes, so that older counts are not used.
_CACHE_VERSION = 5

#: What the targets of a head depend on, beside its anchors or points.
_OF_TARGETS = (
    "assigner",
    "regress_ranges",
    "center_sampling",
    "center_sample_radius",
)


def load_prior(path: Path) -> ForegroundPrior | None:
    """Return the prior stored in a file, if any.

    The log names a file that is damaged or was changed: its checksum does not fit.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        prior = ForegroundPrior(**content["prior"])
        if content["checksum"] != _sum_of(path, prior):
            raise ValueError("it was changed: its checksum does not fit")
    except FileNotFoundError:
        return None
    except (KeyError, OSError, TypeError, ValueError) as error:
        print_log(f"{path} is unreadable ({error}), counting again", "current")
        return None
    print_log(f"Foreground prior: counts taken from {path}", "current")
    return prior


def store_prior(path: Path, prior: ForegroundPrior) -> None:
    """Write the counts, or log why they cannot be written."""
    content = {"prior": prior.to_dict(), "checksum": _sum_of(path, prior)}
    text = json.dumps(content).encode()
    try:
        write_whole(path, lambda file: file.write(text))
    except OSError as error:
        print_log(f"Foreground prior: counts not cached: {error}", "current")


def _sum_of(path: Path, prior: ForegroundPrior) -> str:
    text = json.dumps(prior.to_dict(), sort_keys=True)
    return checksum([path.name.encode(), text.encode()])


def content_key(
    dataset: Any,
    head: nn.Module,
    annotated: TrainingBoxes,
    divisor: int,
    max_relative_error: float | None,
) -> str:
    """Hash everything that the counts depend on."""
    digest = hashlib.sha256()
    for array in (
        annotated.img_shape,
        annotated.boxes,
        annotated.ignored,
        annotated.image,
    ):
        digest.update(array.tobytes())
    settings = [
        _CACHE_VERSION,
        divisor,
        max_relative_error,
        head.num_classes,
        type(head).__name__,
        _plain(head.train_cfg),
        _plain(head.prior_generator),
        [_plain(getattr(head, name, None)) for name in _OF_TARGETS],
        _dataset_settings(dataset),
    ]
    digest.update(json.dumps(settings).encode())
    return digest.hexdigest()[:32]


def _dataset_settings(node: Any) -> list:
    """Describe a data set and its wrappers, their records left out."""
    children = getattr(node, "datasets", None) or [getattr(node, "dataset", None)]
    return [
        type(node).__name__,
        len(node),
        _plain(getattr(node, "times", None)),
        _plain(getattr(node, "repeat_indices", None)),
        _plain(getattr(node, "indices", None)),
        _plain(getattr(node, "pipeline", None)),
        [_dataset_settings(child) for child in children if child is not None],
    ]


def _plain(value: Any, depth: int = 8) -> Any:
    """Turn settings, objects among them, into what JSON can hold.

    Objects are taken by their attributes: not all of them have a telling ``repr``.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if hasattr(value, "tolist"):  # arrays and tensors
        return value.tolist()
    if depth == 0 or isinstance(value, type):
        return str(value if isinstance(value, type) else type(value))
    if isinstance(value, dict):
        items = ((str(key), _plain(item, depth - 1)) for key, item in value.items())
        return sorted(items, key=lambda item: item[0])
    if isinstance(value, (list, tuple, set)):
        return [_plain(item, depth - 1) for item in value]
    settings = getattr(value, "__dict__", {})
    return [type(value).__name__, _plain(settings, depth - 1)]
