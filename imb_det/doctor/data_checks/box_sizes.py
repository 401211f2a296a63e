"""Sizes and shapes of boxes as trained, against strides and anchors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from imb_det.core.finding import Finding, Severity
from imb_det.doctor.context import DoctorContext
from imb_det.prior.blank_images import run_blank_images
from imb_det.prior.boxes import TrainingBoxes
from imb_det.prior.resizing import is_arithmetic
from imb_det.prior.training_boxes import training_boxes
from imb_det.statistics.dataset_access import leaf_datasets

from .class_tables import is_thing
from .head_priors import HeadPriors, head_priors, shape_overlap

__all__ = ["check_box_sizes"]

_SAMPLE = 300  # images that run through transforms which are no arithmetic
_FEWEST = 10  # boxes of a class that a warning rests on
_SMALL = 32  # pixels: the limit of COCO's small objects


def check_box_sizes(context: DoctorContext) -> Iterator[Finding]:
    """Tell how large boxes are after the pipeline, and find those that fit no head.

    Sizes are those after ``Resize``; where other steps change them as well, those of
    300 images. A warning is for each class most of whose boxes have a geometric mean of
    their sides below the finest stride of all heads, or overlap with the best anchor of
    each head, were it centred on them, by less than what the head takes for background;
    of a class of fewer than ten boxes it is no warning, but told.

    Args:
        context: With a training set; without a model sizes alone are told.
    """
    if "train" not in context.boxes or not context.classes:
        return
    try:
        table = _as_trained(context)
    except Exception as error:  # of steps of any kind
        yield _without_sizes(context, error)
        return
    sides = np.maximum(table.boxes[:, 2:] - table.boxes[:, :2], 0)
    counts = ~table.ignored & (sides > 0).all(1) & is_thing(context)[table.labels]
    sides, labels = sides[counts], table.labels[counts]
    if not len(labels):
        return
    heads = list(head_priors(context.model))
    number = len(table)
    is_part = number < sum(map(len, leaf_datasets(context.datasets["train"])))
    yield _overview(context, sides, labels, heads, number if is_part else None)
    if not heads:
        return
    size = np.sqrt(sides.prod(1))
    finest = min(min(head.strides) for head in heads)
    is_small = size < finest
    yield from _by_class(
        context,
        labels,
        is_small,
        size,
        "boxes_below_stride",
        "classes most of whose boxes are smaller than the finest stride",
        f"the finest stride is {finest:g} px",
        "Train on larger images, `dict(type='Resize', scale=...)` in all pipelines, or "
        "add a finer level to `neck` and head",
    )
    for head in heads:
        if head.anchors is None or head.least is None:
            continue
        best = shape_overlap(sides, head.anchors)
        yield from _by_class(
            context,
            labels,
            (best < head.least) & ~is_small,
            best,
            "boxes_fit_no_anchor",
            "classes most of whose boxes overlap with no anchor enough, of any place",
            f"an anchor of {head.name} below an overlap of {head.least:g} is background"
            + ", but for the best one of a box" * head.takes_best
            + f"; its sides are {_span(head.anchors)}",
            "Add sizes or shapes to `anchor_generator`: `scales`, `octave_base_scale` "
            "or `ratios`",
        )


def _as_trained(context: DoctorContext) -> TrainingBoxes:
    dataset = context.datasets["train"]
    if is_arithmetic(dataset):
        return training_boxes(dataset, context.boxes["train"])
    return run_blank_images(dataset, lambda: None, _SAMPLE)


def _without_sizes(context: DoctorContext, error: Exception) -> Finding:
    text = " ".join(str(error).split())
    return Finding(
        "box_sizes",
        Severity.INFO,
        "sizes of boxes after the pipeline cannot be had without images",
        context.files("train"),
        f"{type(error).__name__}: {text:.200}",
        "Compare the sizes in the annotations with the strides of the heads by hand",
    )


def _overview(
    context: DoctorContext,
    sides: np.ndarray,
    labels: np.ndarray,
    heads: list[HeadPriors],
    number: int | None,
) -> Finding:
    size, ratio = np.sqrt(sides.prod(1)), sides[:, 0] / sides[:, 1]
    present = np.unique(labels)
    texts = [] if number is None else [f"of {number} images, drawn at random"]
    for what, values, unit in (("sides", size, " px"), ("width / height", ratio, "")):
        middle = _medians(values, labels)
        ends = [
            f"{middle[at]:.3g}{unit} ({context.classes[present[at]]!r})"
            for at in (middle.argmin(), middle.argmax())
        ]
        texts.append(f"medians of {what} by class from {ends[0]} to {ends[1]}")
    texts.append(f"{(size < _SMALL).mean():.0%} of all boxes below {_SMALL} px")
    for head in heads:
        own = f"{head.name}: strides {', '.join(f'{s:g}' for s in head.strides)}"
        if head.anchors is not None:
            own += f", anchors {_span(head.anchors)}"
        texts.append(own)
    return Finding(
        "box_sizes",
        Severity.INFO,
        "sizes and shapes of the training boxes, as the pipeline resizes them",
        context.files("train"),
        "; ".join(texts),
    )


def _medians(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the median of each class that is there, by its label."""
    order = np.argsort(labels, kind="stable")
    _, first = np.unique(labels[order], return_index=True)
    return np.array([np.median(own) for own in np.split(values[order], first[1:])])


def _span(anchors: np.ndarray) -> str:
    size, ratio = np.sqrt(anchors.prod(1)), anchors[:, 0] / anchors[:, 1]
    return (
        f"{size.min():.3g} to {size.max():.3g} px, width / height {ratio.min():.3g} to "
        f"{ratio.max():.3g}"
    )


def _by_class(
    context: DoctorContext,
    labels: np.ndarray,
    chosen: np.ndarray,
    values: np.ndarray,
    code: str,
    what: str,
    limit: str,
    remedy: str,
) -> Iterator[Finding]:
    """Tell of each class of which most boxes are chosen."""
    every = np.bincount(labels, minlength=len(context.classes))
    own: Any = np.bincount(labels[chosen], minlength=len(context.classes))
    for label in np.flatnonzero(own > every / 2).tolist():
        unit = " px" if code == "boxes_below_stride" else " of overlap"
        middle = np.median(values[labels == label])
        yield Finding(
            code,
            Severity.WARNING if every[label] >= _FEWEST else Severity.INFO,
            what,
            f"{context.classes[label]!r} in {context.files('train')}",
            f"{own[label]} of {every[label]} boxes, median {middle:.3g}{unit}; {limit}",
            remedy,
        )
