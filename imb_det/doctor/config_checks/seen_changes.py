"""Whether a transform has changed image or objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

__all__ = ["Seen", "changed"]


@dataclass
class Seen:
    """What one transform has done to some records.

    Args:
        calls: Records that it was given.
        changes: Those that it has changed.
        refused: Those that it has returned None for.
        error: With which it failed. Default: None.
    """

    calls: int = 0
    changes: int = 0
    refused: int = 0
    error: Exception | None = None


#: What a training sees of the results of a transform; the rest are notes of its way.
_CONTENT = ("gt_", "proposals", "mix_results", "data_samples")


def changed(before: Mapping[str, Any], after: Any) -> bool:
    """Tell whether the content of results is another one.

    Args:
        before: Results, copied before the transform.
        after: What the transform has returned.
    """
    if not isinstance(after, Mapping):
        return True
    keys = {k for k in (*before, *after) if isinstance(k, str) and _is_content(k)}
    return any(not _equal(before.get(key), after.get(key)) for key in keys)


def _is_content(key: str) -> bool:
    return key in ("img", "inputs", "img_shape") or key.startswith(_CONTENT)


def _equal(first: Any, second: Any) -> bool:
    """Compare arrays, tensors, boxes, masks and lists of them."""
    if type(first) is not type(second):
        return False
    if isinstance(first, np.ndarray):
        return np.array_equal(first, second)
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if hasattr(first, "tensor"):  # boxes
        return _equal(first.tensor, second.tensor)
    if hasattr(first, "masks"):
        return _equal(first.masks, second.masks)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(_equal, first, second))
    return bool(first == second)
