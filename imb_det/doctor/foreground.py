"""Positives of the dense heads of a model, counted from the annotations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.task_modules.samplers import PseudoSampler
from torch import nn

from imb_det.prior.blank_images import labelled_indices
from imb_det.prior.boxes import TrainingBoxes
from imb_det.prior.classification_bias import is_countable
from imb_det.prior.foreground_prior import ForegroundPrior
from imb_det.prior.query_prior import check_queries, has_queries, query_prior
from imb_det.prior.resizing import is_arithmetic
from imb_det.prior.target_counts import count_targets_of_boxes, uses_plain_max_iou
from imb_det.prior.training_boxes import epoch_weights, training_boxes

from .context import DoctorContext
from .data_checks.head_priors import is_frozen

__all__ = [
    "HeadForeground",
    "ShownBoxes",
    "dense_heads",
    "foreground_of",
    "shown_boxes",
]

#: Images that are counted by arithmetic, by the targets of a head, and of those that go
#: through transforms.
_MOST, _MOST_BY_HEAD, _MOST_BLANK = 2000, 200, 300
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

    Frozen ones, such as those of the teacher of a semi-supervised training, learn
    nothing and are passed over.

    Args:
        model: Detector, or None.
    """
    for path, module in model.named_modules() if model is not None else ():
        is_head = isinstance(module, BaseDenseHead) or has_queries(module)
        if is_head and not is_frozen(module):
            yield path, module


@dataclass(frozen=True)
class ShownBoxes:
    """Images of the training, or a random part of them, as the training shows them.

    Args:
        boxes: Of n images.
        weights: How often each is shown, int (n,).
        of_images: Images of the training.
    """

    boxes: TrainingBoxes
    weights: np.ndarray
    of_images: int

    def part(self, most: int) -> ShownBoxes:
        """Return at most so many of the images."""
        if len(self.boxes) <= most:
            return self
        order = np.random.default_rng(0).permutation(len(self.boxes))[:most]
        chosen = np.sort(order)
        boxes = self.boxes.select(chosen)
        return ShownBoxes(boxes, self.weights[chosen], self.of_images)

    def relative_error(self, positives: np.ndarray) -> float:
        """Return the standard error of the mean of (n,) numbers, relative to it."""
        shown = self.weights * positives
        n = len(shown)
        if n == self.of_images or n < 2 or not shown.any():
            return 0.0
        spread = shown.std(ddof=1) / shown.mean() / np.sqrt(n)
        return float(spread * np.sqrt(1 - n / self.of_images))


def shown_boxes(context: DoctorContext) -> ShownBoxes | None:
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
    annotated = context.boxes.get("train")
    if annotated is None or not len(annotated.boxes):
        return None
    table = training_boxes(dataset, annotated, most=_MOST_BLANK)
    if is_arithmetic(dataset):
        return ShownBoxes(table, epoch_weights(dataset), len(table)).part(_MOST)
    number = len(labelled_indices(dataset))
    return ShownBoxes(table, np.ones(len(table), np.int64), number)


def foreground_of(
    context: DoctorContext, path: str, head: Any, shown: ShownBoxes
) -> HeadForeground | None:
    """Count the positives of a head; None where they depend on its predictions.

    Args:
        context: With a model.
        path: Of the head.
        head: From :func:`dense_heads`.
        shown: From :func:`shown_boxes`.
    """
    model: Any = context.model
    if has_queries(head):
        try:
            check_queries(model, head, path)
        except (TypeError, ValueError):
            return None
        boxes = shown.boxes
        prior = query_prior(boxes, shown.weights, model, head)
        return _found(path, head, prior, shown, _of_queries(boxes, model))
    if not is_countable(head) or getattr(head, "assigner", True) is None:
        return None
    divisor = getattr(getattr(model, "data_preprocessor", None), "pad_size_divisor", 1)
    if not uses_plain_max_iou(head):
        shown = shown.part(_MOST_BY_HEAD)
    boxes, parts = shown.boxes, []
    with _all_candidates(head):
        for start in range(0, len(boxes), _IMAGES_PER_STEP):
            end = min(start + _IMAGES_PER_STEP, len(boxes))
            part = boxes.select(np.arange(start, end))
            pad_shape = -(-part.img_shape // divisor) * divisor
            parts.append(count_targets_of_boxes(head, part, pad_shape))
    positives, candidates = map(np.concatenate, zip(*parts, strict=True))
    positive = int(shown.weights[boxes.image] @ positives.sum(1))
    counted: ForegroundPrior | None = None
    with suppress(ValueError):  # nothing is positive
        total = int(shown.weights @ candidates)
        number = int(head.num_classes)
        counted = ForegroundPrior(total, positive, number, len(boxes))
    return _found(path, head, counted, shown, positives)


def _found(
    path: str,
    head: nn.Module,
    prior: ForegroundPrior | None,
    shown: ShownBoxes,
    positives: np.ndarray,
) -> HeadForeground:
    """Return what was counted, with the error where it was a part of the images."""
    boxes = shown.boxes
    of_images = np.bincount(boxes.image, positives.sum(1), minlength=len(boxes))
    if prior is not None:
        prior = replace(prior, relative_error=shown.relative_error(of_images))
    return HeadForeground(path, head, prior, boxes, positives)


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
