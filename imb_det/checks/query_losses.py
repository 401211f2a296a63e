"""Losses of heads of queries: layers, proposals, denoising queries and the matching."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmdet.models.dense_heads import DDQDETRHead, DINOHead, MaskFormerHead
from mmdet.models.dense_heads import DeformableDETRHead as MmdetDeformableDETRHead
from mmdet.models.dense_heads import DETRHead as MmdetDETRHead
from mmdet.models.losses import QualityFocalLoss

from imb_det.core.finding import Finding, Severity, refusal
from imb_det.heads import DeformableDETRHead
from imb_det.losses import GHMRLoss, ImbalanceLoss, RowWeights
from imb_det.losses.caller import as_config
from imb_det.losses.layer_calls import has_layers, knows_layers
from imb_det.losses.row_weights import costs_of_loss
from imb_det.statistics.class_vector import ClassVector
from imb_det.statistics.running_stats import RunningStats

__all__ = ["check_query_losses"]

_FOCAL = dict(type="imb_det.FocalLoss", use_sigmoid=True)
_BOXES = dict(type="mmdet.L1Loss", loss_weight=5.0)


def check_query_losses(name: str, module: Any) -> Iterator[Finding]:
    """Find losses that a head of queries calls with what they cannot go by.

    Args:
        name: Of a module in the model.
        module: The module.
    """
    yield from _of_divisor(name, module)
    yield from _of_background(name, module)
    yield from _of_layers(name, module)
    yield from _of_matching(name, module)
    yield from _of_encoder(name, module)
    yield from _of_denoising(name, module)
    yield from _of_distinct_queries(name, module)


def _softmax_loss(module: Any) -> ImbalanceLoss | None:
    """Return our loss by whose weights of rows a head divides, if it has one."""
    loss = getattr(module, "loss_cls", None)
    told = isinstance(module, (MmdetDETRHead, MaskFormerHead))
    if told and isinstance(loss, ImbalanceLoss) and not loss.use_sigmoid:
        return loss
    return None


def _of_divisor(name: str, module: Any) -> Iterator[Finding]:
    """Find weights that change, in a head that is told of them once."""
    loss = _softmax_loss(module)
    if loss is None:
        return
    if any(isinstance(part, RowWeights) for part in vars(module).values()):
        return  # asks the loss
    parts = [part for part in loss.modules() if isinstance(part, ClassVector)]
    if moving := [p.name for p in parts if p.stage_names or p.told_by is not None]:
        kind = type(module).__name__
        yield Finding(
            "loss_divisor",
            Severity.ERROR,
            "a head divides by weights of classes that change in training",
            f"`{name}` ({kind})",
            f"{type(loss).__name__} has {moving} by stages or by what is measured",
            f"Write `type='imb_det.{kind}'`, which asks its loss for them"
            if kind in ("DETRHead", "MaskFormerHead", "Mask2FormerHead")
            else "Use weights that stay the same",
        )


def _of_background(name: str, module: Any) -> Iterator[Finding]:
    """Find background that weighs as much as objects, of which few queries have one."""
    loss = _softmax_loss(module)
    if loss is None:
        return
    spec = getattr(getattr(loss, "class_weight", None), "spec", None)
    is_given = isinstance(spec, list) and len(spec) > module.num_classes
    if getattr(loss, "bg_weight", 0) == 1 and not is_given:
        yield Finding(
            "background_of_queries",
            Severity.WARNING,
            "background, which most queries have, weighs as much as an object",
            f"`{name}` ({type(module).__name__})",
            f"{type(loss).__name__} gives it 1, and mmdet's configs 0.1",
            "Write `bg_weight=0.1` in `loss_cls`",
        )


def _of_layers(name: str, module: Any) -> Iterator[Finding]:
    """Find statistics in a head whose last decoder layer is not known."""
    if not has_layers(module) or knows_layers(module):
        return
    for attribute, loss in module.named_children():
        if hasattr(loss, "layer_calls") and any(
            isinstance(part, RunningStats) for part in loss.modules()
        ):
            yield Finding(
                "loss_layers",
                Severity.WARNING,
                "a loss learns from all decoder layers, and from denoising queries",
                f"`{name}` ({type(module).__name__})",
                f"`{attribute}`, {type(loss).__name__}, goes by the last layer of "
                "heads of mmdet, and this one has a `forward` or a loss of its own",
                "Let the head call `loss.layer_calls.begin(number of layers)` before "
                "its losses, the layers first",
            )


def _of_matching(name: str, module: Any) -> Iterator[Finding]:
    """Find costs of matching that go by a loss which gives them nothing to go by."""
    for cost in costs_of_loss(module):
        try:
            cost.set_loss(module.loss_cls, module.num_classes)
        except ValueError as error:
            what = "queries cannot be matched by what a loss trains"
            place = f"`{name}` ({type(module).__name__})"
            yield refusal("matching_cost", what, error, place)


def _of_encoder(name: str, module: Any) -> Iterator[Finding]:
    """Find a loss by class, or by other rows, where proposals are of class 0."""
    loss = getattr(module, "loss_cls", None)
    if (
        not isinstance(loss, ImbalanceLoss)
        or not isinstance(module, MmdetDeformableDETRHead)
        or isinstance(module, (DeformableDETRHead, DINOHead))  # which have classes
        or not module.as_two_stage
    ):
        return
    parts = [
        p.name for p in loss.modules() if isinstance(p, ClassVector) and p.by_class
    ]
    learns = any(isinstance(part, RunningStats) for part in loss.modules())
    if not (parts or loss.observes or learns):
        return
    what = "proposals of an encoder are all of class 0 for a loss that goes by class"
    evidence = f"has {parts or 'statistics'} by class"
    if not (parts or loss.observes):
        what = "proposals of an encoder are many more than the queries of a decoder"
        evidence = "goes by statistics of these queries"
    yield Finding(
        "loss_of_encoder",
        Severity.ERROR,
        what,
        f"`{name}` ({type(module).__name__})",
        f"{type(loss).__name__} {evidence}",
        "Write `type='imb_det.DeformableDETRHead'`, whose encoder has its own loss",
    )


def _of_denoising(name: str, module: Any) -> Iterator[Finding]:
    """Find a loss of boxes that divides denoising queries by the number of others."""
    loss = getattr(module, "loss_bbox", None)
    if not (isinstance(module, DINOHead) and isinstance(loss, GHMRLoss)):
        return
    if not loss.density.per_call:
        yield Finding(
            "loss_caller",
            Severity.ERROR,
            "a head calls a loss in a form that it does not have",
            f"`{name}` ({type(module).__name__})",
            "divides denoising queries by their own objects, of which they have many, "
            f"in `loss_bbox`, {type(loss).__name__}",
            f"Write {as_config('loss_bbox', _BOXES)}",
        )


def _of_distinct_queries(name: str, module: Any) -> Iterator[Finding]:
    """Find a loss that gets qualities of some queries, and classes of others."""
    loss = getattr(module, "loss_cls", None)
    fits = isinstance(loss, ImbalanceLoss) and isinstance(loss, QualityFocalLoss)
    if fits and isinstance(module, DDQDETRHead):
        yield Finding(
            "qualities_of_some",
            Severity.WARNING,
            "queries that predict learn classes, where others learn qualities",
            f"`{name}` ({type(module).__name__})",
            "passes qualities of proposals and of denoising queries alone, in "
            f"`loss_cls`, {type(loss).__name__}",
            f"Write {as_config('loss_cls', _FOCAL)}, or use DINOHead",
        )
