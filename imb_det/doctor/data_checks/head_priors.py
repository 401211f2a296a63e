"""Strides and anchors of the heads of a model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from mmdet.models.task_modules.assigners import MaxIoUAssigner
from torch import nn

__all__ = ["HeadPriors", "head_priors", "is_frozen", "shape_overlap"]

_CHUNK = 65536  # boxes at a time


class HeadPriors(NamedTuple):
    """What a dense head looks for boxes from.

    Args:
        name: Place and class of the head, for messages.
        strides: Pixels between neighbours, by level.
        anchors: Width and height of all anchors at one place, float64 (A, 2); None
            for a head without anchors.
        least: Overlap below which the head's assigner takes an anchor for background;
            None where it goes by something else than the overlap.
        takes_best: Whether the best anchor of a box is no background even so. Default:
            False.
    """

    name: str
    strides: list[float]
    anchors: np.ndarray | None
    least: float | None
    takes_best: bool = False


def head_priors(model: nn.Module | None) -> Iterator[HeadPriors]:
    """List the dense heads of a model that learn, and have points or anchors.

    Args:
        model: Below its wrapper, or None.
    """
    for name, module in model.named_modules() if model is not None else ():
        generator = getattr(module, "prior_generator", None)
        strides = getattr(generator, "strides", None)
        if not strides or is_frozen(module):
            continue
        base = getattr(generator, "base_anchors", None)
        sizes = None
        if base is not None:
            corners = np.concatenate([level.cpu().double().numpy() for level in base])
            sizes = corners[:, 2:] - corners[:, :2]
        assigner = getattr(module, "assigner", None)
        least = _least(assigner) if sizes is not None else None
        yield HeadPriors(
            f"{name} ({type(module).__name__})",
            [float(np.min(stride)) for stride in strides],
            sizes,
            least,
            least is not None and _takes_best(assigner, least),
        )


def is_frozen(module: nn.Module) -> bool:
    """Tell whether a module has parameters, and none of them is learned."""
    flags = [parameter.requires_grad for parameter in module.parameters()]
    return bool(flags) and not any(flags)


def _least(assigner: Any) -> float | None:
    if type(assigner) is not MaxIoUAssigner:
        return None
    limit = assigner.neg_iou_thr
    return float(limit[-1] if isinstance(limit, (tuple, list)) else limit)


def _takes_best(assigner: Any, least: float) -> bool:
    return bool(assigner.match_low_quality and assigner.min_pos_iou < least)


def shape_overlap(sides: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Return the overlap of each box with the anchor that fits it best.

    Both have one centre, so that no anchor of a grid can overlap more.

    Args:
        sides: Width and height of the boxes, > 0, (n, 2).
        anchors: The same of anchors, > 0, (A, 2).

    Returns:
        Intersection over union, float64 (n,), in (0, 1].
    """
    best = np.zeros(len(sides))
    areas = anchors.prod(1)
    for start in range(0, len(sides), _CHUNK):
        part = sides[start : start + _CHUNK, None].astype(np.float64)
        inside = np.minimum(part, anchors).prod(-1)
        union = part.prod(-1) + areas - inside
        best[start : start + _CHUNK] = (inside / union).max(1)
    return best
