"""What heads take for foreground: their prior, and objects that they never see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from mmdet.models.dense_heads import RPNHead

from imb_det.core.finding import Finding, Severity
from imb_det.core.text import and_more
from imb_det.doctor.context import DoctorContext
from imb_det.doctor.foreground import (
    HeadForeground,
    dense_heads,
    foreground_of,
    shown_boxes,
)
from imb_det.prior.classification_bias import why_uncountable
from imb_det.prior.query_prior import has_queries

__all__ = ["check_foreground"]

#: Share of all objects, and of those of a class, without a positive from which on a
#: warning is due; of proposals, to which a box head adds the objects.
_SHARE, _SHARE_OF_CLASS, _SHARE_OF_PROPOSALS = 0.01, 0.25, 0.1
#: Objects below which a share says little.
_FEW = 3
_NAMED = 5


def check_foreground(context: DoctorContext) -> Iterator[Finding]:
    """Tell the prior and the positives of every dense head, and objects without any.

    Args:
        context: With a model and a training set.
    """
    heads = list(dense_heads(context.model))
    try:
        shown = shown_boxes(context) if heads else None
    except Exception as error:  # of a transform, which other checks tell of
        yield Finding(
            "foreground_prior",
            Severity.INFO,
            "positives cannot be counted: the pipeline does not run on blank images",
            "`train_dataloader`",
            f"{type(error).__name__}: {error}",
        )
        return
    if shown is None:
        return
    for path, head in heads:
        found = foreground_of(context, path, head, shown)
        if found is None:
            why = why_uncountable(type(head)) or ", whose targets are not known here"
            yield Finding(
                "positives_by_predictions",
                Severity.INFO,
                "the positives of a head cannot be counted from annotations",
                f"`{path}` ({type(head).__name__})",
                f"{type(head).__name__}{why}",
            )
            continue
        yield from _of_prior(context, found)
        if not has_queries(head) and found.prior is not None:
            yield _of_positives(context, found)
        yield from _of_lost(context, found)


def _of_prior(context: DoctorContext, found: HeadForeground) -> Iterator[Finding]:
    if found.prior is None:
        yield Finding(
            "no_positives",
            Severity.ERROR,
            "no candidate of a head is positive: there is nothing to learn for it",
            found.where,
            f"{len(found.boxes)} images with {len(found.boxes.boxes)} boxes",
            "Fit `anchor_generator`, or `assigner`, to the sizes of the boxes",
        )
        return
    hooks = [type(hook).__name__ for hook in context.hooks]
    uses = getattr(getattr(found.head, "loss_cls", None), "use_sigmoid", False)
    remedy = ""
    if "PriorInitHook" not in hooks and uses and "rpn" not in found.path:
        remedy = (
            f"Add `dict(type='imb_det.PriorInitHook', head={found.path!r})` to "
            "`custom_hooks`, to start the classifier there"
        )
    yield Finding(
        "foreground_prior",
        Severity.INFO,
        "the share of positive candidates of a head, and the bias that fits it",
        found.where,
        str(found.prior),
        remedy,
    )


def _of_positives(context: DoctorContext, found: HeadForeground) -> Finding:
    """Tell the positives by level, and an object's by class."""
    counted = ~found.boxes.ignored
    per_level = found.positives[counted].sum(0)
    head: Any = found.head
    strides = [max(stride) for stride in head.prior_generator.strides]
    levels = ", ".join(
        f"stride {stride} {number / max(per_level.sum(), 1):.1%}"
        for stride, number in zip(strides, per_level.tolist(), strict=True)
    )
    evidence = f"by level: {levels}; of an object: {_by_class(context, found)}"
    return Finding(
        "positives",
        Severity.INFO,
        "positive candidates of a head by level, and of an object by class",
        found.where,
        evidence,
    )


def _by_class(context: DoctorContext, found: HeadForeground) -> str:
    """Name the classes whose objects have fewest and most positives."""
    means = _mean_by_class(context, found)
    every = found.positives[~found.boxes.ignored].sum(1).mean()
    order = sorted(means, key=lambda name: means[name])
    chosen = dict.fromkeys([*order[:2], *order[-2:]])
    named = ", ".join(f"{name!r} {means[name]:.1f}" for name in chosen)
    return f"{every:.1f} on average" + f" ({named})" * bool(named)


def _mean_by_class(context: DoctorContext, found: HeadForeground) -> dict[str, float]:
    counted, boxes = ~found.boxes.ignored, found.boxes
    sums = np.bincount(
        boxes.labels[counted],
        found.positives[counted].sum(1),
        minlength=len(context.classes),
    )
    objects = np.bincount(boxes.labels[counted], minlength=len(context.classes))
    names = enumerate(context.classes)
    return {n: float(sums[i] / objects[i]) for i, n in names if objects[i]}


def _names(context: DoctorContext, labels: np.ndarray) -> list[str]:
    """Return a name of each label, where the parts of a set differ in theirs too."""
    most = int(labels.max(initial=-1)) + 1
    more = range(len(context.classes), most)
    return [*context.classes, *(f"label {label}" for label in more)]


def _has_size_of_others(sides: Any, lost: Any, seen: Any) -> bool:
    """Tell whether the middle lost object is as large as most with a positive."""
    if not seen.any():
        return False
    low, high = np.quantile(sides[seen], [0.1, 0.9])
    return bool(low <= np.median(sides[lost]) <= high)


def _of_lost(context: DoctorContext, found: HeadForeground) -> Iterator[Finding]:
    """Yield that objects have no positive, by class."""
    lost, boxes = found.lost, found.boxes
    total = int((~boxes.ignored).sum())
    if not lost.any():
        return
    classes = _names(context, boxes.labels)
    without = np.bincount(boxes.labels[lost], minlength=len(classes))
    objects = np.bincount(boxes.labels[~boxes.ignored], minlength=len(classes))
    shares = without / np.maximum(objects, 1)
    share = lost.sum() / total
    if isinstance(found.head, RPNHead):
        is_bad = share >= _SHARE_OF_PROPOSALS
    else:
        of_class = (shares >= _SHARE_OF_CLASS) & (without >= _FEW)
        is_bad = share >= _SHARE or bool(of_class.any())
        is_bad &= bool(lost.sum() >= _FEW)
    order = np.argsort(-shares, kind="stable")
    named = [f"{classes[i]} {without[i]} of {objects[i]}" for i in order if without[i]]
    sides = np.sqrt(np.prod(boxes.boxes[:, 2:] - boxes.boxes[:, :2], 1))
    size, level = ("smaller", "finer")
    if np.median(sides[lost]) > np.median(sides[~boxes.ignored]):
        size, level = ("larger", "coarser")
    remedy = f"Add {size} anchors (`scales`, `octave_base_scale`), or a {level} level"
    if _has_size_of_others(sides, lost, ~boxes.ignored & ~lost):
        remedy = (
            "Look at their shapes and neighbours: others of their size have positives. "
            "Add `ratios` for long shapes; of boxes at nearly one place, a candidate "
            "learns one"
        )
    if has_queries(found.head):
        most = np.bincount(boxes.image[~boxes.ignored]).max()
        remedy = f"Write `model.num_queries={most}` or more"
    elif hasattr(found.head, "regress_ranges"):
        remedy = f"Add a {level} level, or widen `regress_ranges`"
        if getattr(found.head, "center_sampling", False):
            remedy = "Write `center_sampling=False`, or a larger `center_sample_radius`"
    yield Finding(
        "no_positive",
        Severity.WARNING if is_bad else Severity.INFO,
        "objects have no positive candidate in a head, which learns them as background",
        found.where,
        f"{lost.sum()} of {total} ({share:.2%}), with sides of "
        f"{np.median(sides[lost]):.0f} pixels: "
        f"{and_more(named, _NAMED, quoted=False)}",
        remedy,
    )
