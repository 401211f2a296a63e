"""Counted priors on disk, found again by all that the count depends on."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from torch import nn

from imb_det.statistics import ForegroundPrior, leaf_datasets
from imb_det.statistics.training_boxes import TrainingBoxes

__all__ = ["content_key", "default_cache_dir", "load_prior", "store_prior"]

# Raise it when counting changes, so that older counts are not used.
_CACHE_VERSION = 1


def default_cache_dir() -> Path:
    """Return ``$XDG_CACHE_HOME/imb_det`` or ``~/.cache/imb_det``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "imb_det"


def load_prior(path: Path) -> ForegroundPrior | None:
    """Return the prior stored in a file, if any; the log names a damaged file."""
    try:
        prior = ForegroundPrior(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, TypeError, ValueError) as error:
        print_log(f"{path} is unreadable ({error}), counting again", "current")
        return None
    print_log(f"Foreground prior: counts taken from {path}", "current")
    return prior


def store_prior(path: Path, prior: ForegroundPrior) -> None:
    """Write the counts so that no reader ever sees half of a file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(prior.to_dict()))
        part.replace(path)
    except OSError as error:
        print_log(f"Foreground prior: counts not cached: {error}", "current")


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
    calculator = getattr(head.assigner, "iou_calculator", None)
    settings = [
        _CACHE_VERSION,
        divisor,
        max_relative_error,
        head.num_classes,
        type(dataset).__name__,
        [repr(leaf.pipeline) for leaf in leaf_datasets(dataset)],
        repr(getattr(dataset, "pipeline", None)),
        type(head).__name__,
        repr(head.prior_generator),
        [base.tolist() for base in getattr(head.prior_generator, "base_anchors", [])],
        type(head.assigner).__name__,
        sorted(
            (k, repr(v))
            for k, v in vars(head.assigner).items()
            if k != "iou_calculator"
        ),
        type(calculator).__name__,
        repr(head.train_cfg),
    ]
    digest.update(json.dumps(settings).encode())
    return digest.hexdigest()[:32]
