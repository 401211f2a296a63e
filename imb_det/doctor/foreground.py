"""Positives of the dense heads of a model, counted from the annotations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.task_modules.samplers import PseudoSampler
from torch import nn

from imb_det.prior.boxes import TrainingBoxes
from imb_det.prior.classification_bias import is_countable
from imb_det.prior.foreground_prior import ForegroundPrior, foreground_prior
from imb_det.prior.query_prior import check_queries, has_queries, query_prior
from imb_det.prior.resizing import is_arithmetic
from imb_det.prior.target_counts import count_targets_of_boxes
from imb_det.prior.training_boxes import training_boxes

from .context import DoctorContext

__all__ = ["HeadForeground", "dense_heads", "foreground_of", "shown_boxes"]

#: Images that are counted: sizes by arithmetic, or by blank images.
_MOST, _MOST_BLANK = 2000, 300
_IMAGES_PER_STEP = 256


@dataclass(frozen=True)
class HeadForeground:
    """What the assigner of one head makes of the objects.

    Args:
        path: Of the head in the model.
        head: The module.
        prior: Counts of candidates; None where none of them is positive.
        boxes: Those that were counted, as the training shows them.
        positives: Positive candidates of each of these boxes on each level, int64
            (m, levels); of heads of queries, one column.
    """

    path: str
    head: nn.Module
    prior: ForegroundPrior | None
    boxes: TrainingBoxes
    positives: np.ndarray

    @property
    def where(self) -> str:
        """Path and class, for messages."""
        return f"`{self.path}` ({type(self.head).__name__})"

    @property
    def lost(self) -> np.ndarray:
        """Which boxes are objects without a positive candidate, bool (m,)."""
        return (self.positives.sum(1) == 0) & ~self.boxes.ignored


def dense_heads(model: nn.Module | None) -> Iterator[tuple[str, nn.Module]]:
    """Yield the heads of a model that classify candidates or queries of a whole image.

    Args:
        model: Detector, or None.
    """
    for path, module in model.named_modules() if model is not None else ():
        if isinstance(module, BaseDenseHead) or has_queries(module):
            yield path, module


def shown_boxes(context: DoctorContext) -> TrainingBoxes | None:
    """Return sizes and boxes of some training images, as the training shows them.

    Args:
        context: With a training set.

    Returns:
        Of at most 2,000 images, or 300 where transforms must be run on blank images;
        None where no box is known.
    """
    dataset = context.datasets.get("train")
    if dataset is None:
        return None
    annotated = context.boxes["train"]
    if not len(annotated.boxes):
        return None
    table = training_boxes(dataset, annotated, most=_MOST_BLANK)
    if is_arithmetic(dataset) and len(table) > _MOST:
        order = np.random.default_rng(0).permutation(len(table))[:_MOST]
        table = table.select(np.sort(order))
    return table


def foreground_of(
    context: DoctorContext, path: str, head: Any, boxes: TrainingBoxes
) -> HeadForeground | None:
    """Count the positives of a head; None where they depend on its predictions.

    Args:
        context: With a model.
        path: Of the head.
        head: From :func:`dense_heads`.
        boxes: From :func:`shown_boxes`.
    """
    model: Any = context.model
    if has_queries(head):
        try:
            check_queries(model, head, path)
        except (TypeError, ValueError):
            return None
        prior = query_prior(boxes, None, model, head)
        return HeadForeground(path, head, prior, boxes, _of_queries(boxes, model))
    if not is_countable(head) or getattr(head, "assigner", True) is None:
        return None
    divisor = getattr(getattr(model, "data_preprocessor", None), "pad_size_divisor", 1)
    parts = []
    with _all_candidates(head):
        for start in range(0, len(boxes), _IMAGES_PER_STEP):
            end = min(start + _IMAGES_PER_STEP, len(boxes))
            part = boxes.select(np.arange(start, end))
            pad_shape = -(-part.img_shape // divisor) * divisor
            parts.append(count_targets_of_boxes(head, part, pad_shape))
        try:
            prior = foreground_prior(None, head, divisor, boxes=boxes)
        except ValueError:  # nothing is positive
            prior = None
    return HeadForeground(path, head, prior, boxes, np.concatenate(parts))


def _of_queries(boxes: TrainingBoxes, model: Any) -> np.ndarray:
    """Return 1 for each object of an image that a query is left for, (m, 1)."""
    counted = (~boxes.ignored).astype(np.int64)
    before = np.cumsum(counted) - counted
    first = np.searchsorted(boxes.image, boxes.image)
    rank = before - before[first] if len(before) else before
    return (counted * (rank < int(model.num_queries)))[:, None]


@contextmanager
def _all_candidates(head: Any) -> Iterator[None]:
    """Let a head train on all candidates for a while, whatever its sampler picks."""
    kept = getattr(head, "sampler", None)
    if kept is None:
        yield
        return
    head.sampler = PseudoSampler()
    try:
        yield
    finally:
        head.sampler = kept
