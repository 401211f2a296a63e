"""Limits of predictions that leave objects out, and which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmdet.evaluation import CocoMetric, LVISMetric
from mmdet.evaluation import VOCMetric as MmdetVOCMetric

from imb_det.core.finding import Finding, Severity
from imb_det.doctor.context import DoctorContext
from imb_det.evaluation import LVISMetric as OwnLVISMetric
from imb_det.evaluation import VOCMetric

__all__ = ["check_test_limits"]

#: Detections of an image that LVIS judges.
_OF_LVIS = 300
#: mmdet's, and from where on a curve of precision is cut short.
_USUAL, _HIGH = 0.05, 0.1
_LVIS = (LVISMetric, OwnLVISMetric)
_OF_BOXES = (CocoMetric, *_LVIS, VOCMetric, MmdetVOCMetric)


@dataclass(frozen=True)
class _Limits:
    """The part of ``test_cfg`` that has the last word, and where it is."""

    path: str
    config: Mapping[str, Any]


def check_test_limits(context: DoctorContext) -> Iterator[Finding]:
    """Find ``max_per_img``, ``nms_pre`` and ``score_thr`` that cost objects.

    An image with more objects than detections loses the rest; at most so many of them
    are of rare classes.

    Args:
        context: With a model, and the data set and metrics of a validation or test.
    """
    test_cfg = getattr(context.model, "test_cfg", None)
    split = next((s for s in ("val", "test") if s in context.datasets), None)
    if not isinstance(test_cfg, Mapping) or split is None:
        return
    inner = test_cfg.get("rcnn")
    if isinstance(inner, Mapping):
        final = _Limits("model.test_cfg.rcnn", inner)
    else:
        final = _Limits("model.test_cfg", test_cfg)
    metrics = [m for each in context.metrics.values() for m in each]
    of_lvis = [m for m in metrics if isinstance(m, _LVIS)]
    yield from _of_number(context, split, final, "max_per_img")
    rpn = test_cfg.get("rpn")
    if isinstance(rpn, Mapping):
        yield from _of_number(context, split, _Limits("model.test_cfg.rpn", rpn))
        yield from _of_candidates(context, split, _Limits("model.test_cfg.rpn", rpn))
    yield from _of_candidates(context, split, final)
    most = _number(final.config, "max_per_img")
    if of_lvis and most is not None and most < _OF_LVIS:
        yield Finding(
            "few_detections",
            Severity.WARNING,
            "an image of LVIS may have 300 detections, and the model gives fewer",
            f"`{final.path}.max_per_img`",
            f"{most}, judged by {type(of_lvis[0]).__name__}",
            f"Write `max_per_img={_OF_LVIS}`",
        )
    yield from _of_scores(metrics, final)


def _of_number(
    context: DoctorContext, split: str, limits: _Limits, key: str = "max_per_img"
) -> Iterator[Finding]:
    """Find images with more objects than may be detected."""
    most = _number(limits.config, key)
    if most is not None:
        yield from _lost(context, split, int(most), f"`{limits.path}.{key}`", f"{key}=")


def _of_candidates(
    context: DoctorContext, split: str, limits: _Limits
) -> Iterator[Finding]:
    """Find candidates that are fewer than the objects, or than what may remain."""
    before, after = (_number(limits.config, k) for k in ("nms_pre", "max_per_img"))
    levels = _levels(context.model)
    if before is None or not levels:
        return
    place = f"`{limits.path}.nms_pre`"
    yield from _lost(context, split, int(before * levels), place, "nms_pre=", levels)
    if after is not None and before * levels < after:
        yield Finding(
            "few_candidates",
            Severity.WARNING,
            "fewer candidates are kept than detections may remain",
            place,
            f"{before} of each of {levels} levels, and max_per_img={after}",
            f"Write `nms_pre={max(1000, -(-int(after) // levels))}`",
        )


def _lost(
    context: DoctorContext,
    split: str,
    most: int,
    place: str,
    option: str,
    levels: int = 1,
) -> Iterator[Finding]:
    try:
        table = context.counted(split)
    except KeyError:  # records without boxes, of maps for example
        return
    objects = np.bincount(table.image, minlength=len(table))
    over = np.maximum(objects - most, 0)
    if not over.any():
        return
    share = over.sum() / objects.sum()
    evidence = (
        f"{option}{most // levels}{f' of each of {levels} levels' * (levels > 1)}: "
        f"{np.count_nonzero(over)} of {len(table)} images of `{split}_dataloader` have "
        f"more objects, up to {objects.max()}; {share:.1%} of all objects cannot be "
        "found"
    )
    stats = context.class_stats
    if stats is not None:
        group, members = next(iter(stats.groups().items()))
        is_rare = np.isin(table.labels, members)
        rare = np.bincount(table.image[is_rare], minlength=len(table))
        if rare.any():
            worst = np.minimum(rare, over).sum() / rare.sum()
            evidence += f", and at most {worst:.1%} of those of {group} classes"
    needed = -(-int(objects.max()) // levels)
    yield Finding(
        "few_detections",
        Severity.WARNING,
        "images have more objects than a model may find",
        place,
        evidence,
        f"Write `{option}{needed}` or more there",
    )


def _of_scores(metrics: list[Any], final: _Limits) -> Iterator[Finding]:
    """Find a least score that cuts curves of precision short."""
    least = _number(final.config, "score_thr")
    judged = [type(m).__name__ for m in metrics if isinstance(m, _OF_BOXES)]
    if least is None or least < _USUAL or not judged:
        return
    yield Finding(
        "high_score_thr",
        Severity.WARNING if least > _HIGH else Severity.INFO,
        "detections with low scores, as rare classes have, are not judged",
        f"`{final.path}.score_thr`",
        f"{least:g}, and {judged[0]} goes by all scores",
        "Write `score_thr=0.001` (LVIS: 0.0001), and more where boxes are shown",
    )


def _levels(model: Any) -> int:
    """Return the number of levels of the dense head; 0 where not known."""
    for name in ("rpn_head", "bbox_head"):
        generator = getattr(getattr(model, name, None), "prior_generator", None)
        if generator is not None:
            return len(generator.strides)
    return 0


def _number(config: Mapping[str, Any], key: str) -> float | None:
    """Return an option that is a number above 0, None where it is none."""
    value = config.get(key)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return value if value > 0 else None
