"""Heads that call a loss in a form that losses of the library do not have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmdet.models.dense_heads import RPNHead, TOODHead
from mmdet.models.detectors import SoftTeacher

from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity
from imb_det.losses import ImbalanceLoss, OverlapLoss, PixelLoss, SigmoidLink
from imb_det.losses.caller import as_config, own_loss
from imb_det.statistics.class_vector import ClassVector

from .loss_forms import FORMS
from .mask_losses import check_mask_losses
from .query_losses import check_query_losses

__all__ = ["check_loss_callers"]

#: Losses of heads of boxes and masks.
_OF_OBJECTS = ("loss_cls", "loss_mask", "loss_dice", "loss_point")
_WITH_VOID = (ImbalanceLoss, OverlapLoss, PixelLoss)
_SOFTMAX = dict(type="imb_det.CrossEntropyLoss", use_sigmoid=False)
_PROPOSALS = dict(type="imb_det.CrossEntropyLoss", use_sigmoid=True)


def check_loss_callers(context: CheckContext) -> Iterator[Finding]:
    """Find losses of the library in heads that call them in a form they do not have.

    Losses take logits (N, channels) with classes or targets, losses of masks (N, C, h,
    w) with classes. Some heads pass probabilities, pairs, maps or single numbers.

    Args:
        context: With a model.
    """
    if context.model is None:
        return
    for name, module in context.model.named_modules():
        yield from _of_proposals(name, module)
        yield from _of_teacher(name, module)
        yield from check_query_losses(name, module)
        yield from check_mask_losses(name, module)
        yield from _of_probabilities(name, module)
        yield from _of_pixels(name, module)
        for form in FORMS:
            loss = getattr(module, form.attribute, None)
            ours = isinstance(loss, ImbalanceLoss)
            if not ours or form.takes(loss) or not form.fits(module):
                continue
            config = form.instead or own_loss(module, form.attribute)
            remedy = "Leave `loss_cls` out, or use another head such as RetinaHead"
            if "no effect" not in form.passes and config is not None:
                line = as_config(form.argument or form.attribute, config)
                remedy = f"Write {line}{form.hint}"
            yield Finding(
                "loss_caller",
                Severity.ERROR,
                "a head calls a loss in a form that it does not have",
                f"`{name}` ({type(module).__name__})",
                f"{form.passes}, in `{form.attribute}`, {type(loss).__name__}",
                remedy,
            )


def _of_proposals(name: str, module: Any) -> Iterator[Finding]:
    """Find a loss that goes by classes, where all objects are one class."""
    loss = getattr(module, "loss_cls", None)
    # Other heads too may propose, and are built for one class there.
    proposes = isinstance(module, RPNHead) or "rpn_head" in name.split(".")
    if not (proposes and isinstance(loss, ImbalanceLoss)):
        return
    parts = [p for p in loss.modules() if isinstance(p, ClassVector)]
    if by_class := [p.name for p in parts if p.by_class]:
        yield Finding(
            "loss_of_proposals",
            Severity.ERROR,
            "a head of proposals knows no classes, by which its loss goes",
            f"`{name}` ({type(module).__name__})",
            f"{type(loss).__name__} has {by_class} by class",
            f"Write {as_config('loss_cls', _PROPOSALS)}",
        )


def _of_probabilities(name: str, module: Any) -> Iterator[Finding]:
    """Find a loss that takes probabilities in a head that passes logits."""
    if isinstance(module, (TOODHead, ImbalanceLoss)):
        return
    for attribute, loss in module.named_children():
        if isinstance(loss, ImbalanceLoss) and loss.activated:
            yield Finding(
                "probabilities",
                Severity.ERROR,
                "a head passes logits to a loss that takes them for probabilities",
                f"`{name}` ({type(module).__name__})",
                f"`{attribute}` has `activated=True`, which is for TOOD",
                f"Leave `activated` out of `{attribute}`",
            )


def _of_pixels(name: str, module: Any) -> Iterator[Finding]:
    """Find a loss of pixels in a head of objects, or one that ignores a class."""
    where = f"`{name}` ({type(module).__name__})"
    for attribute, loss in module.named_children():
        void = getattr(loss, "ignore_index", None)
        if void is None or not isinstance(loss, _WITH_VOID):
            continue
        number = getattr(module, "num_classes", None)
        if attribute in _OF_OBJECTS and not isinstance(loss, OverlapLoss):
            remedy = "Leave `ignore_index` out of"
            if isinstance(loss, PixelLoss):
                remedy = "Take the loss inside of PixelLoss for"
            yield Finding(
                "loss_of_pixels",
                Severity.ERROR,
                "a loss of pixels, which knows no background, in a head of objects",
                where,
                f"`{attribute}` is {type(loss).__name__} for labels up to C - 1 and "
                f"{void}",
                f"{remedy} `{attribute}`; losses of pixels are for `loss_seg`",
            )
        elif isinstance(number, int) and 0 <= void < number:
            yield Finding(
                "class_ignored",
                Severity.WARNING,
                "a loss of pixels ignores a class of its head",
                where,
                f"`ignore_index={void}`, and the head has {number} classes: label "
                f"{void} is never trained",
                "Give void pixels a label that is no class, such as `ignore_index=-1`",
            )


def _of_teacher(name: str, module: Any) -> Iterator[Finding]:
    """Find a loss without background, where a teacher's score of it is a weight."""
    if not isinstance(module, SoftTeacher):
        return
    head = getattr(getattr(module.student, "roi_head", None), "bbox_head", None)
    loss = getattr(head, "loss_cls", None)
    if not isinstance(loss, ImbalanceLoss) or not isinstance(loss.link, SigmoidLink):
        return
    yield Finding(
        "loss_of_teacher",
        Severity.ERROR,
        "rows of background of images without labels would all have weight 0",
        f"`{name or 'model'}` ({type(module).__name__})",
        f"weighs them by its teacher's score of background, and {type(loss).__name__} "
        "with use_sigmoid=True has none",
        f"Write {as_config('loss_cls', _SOFTMAX)}, or another loss with a softmax",
    )
