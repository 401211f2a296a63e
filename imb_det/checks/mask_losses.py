"""Losses of masks in heads that pass masks in other forms, or without classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mmdet.models.dense_heads import MaskFormerHead

from imb_det.core.finding import Finding, Severity
from imb_det.heads import Mask2FormerHead
from imb_det.heads import MaskFormerHead as OwnMaskFormerHead
from imb_det.losses import InstanceWeightedLoss, OverlapLoss
from imb_det.losses.caller import as_config, own_loss

from .loss_forms import classes_named

__all__ = ["check_mask_losses"]

_TELLS = (Mask2FormerHead, OwnMaskFormerHead)
_PASSES = "a head passes something else than its loss takes"


@dataclass(frozen=True)
class _Place:
    """A loss of masks in heads of mmdet.

    Args:
        heads: Names of their classes, subclasses included.
        attributes: The losses in the head.
        use_sigmoid: Whether these are masks of instances; else maps of classes.
        activate: Whether predictions are logits.
        has_maps: Whether a mask has rows and columns.
        points: Losses that get the points of all masks in one row.
        tells: Whether the loss gets the classes of the instances.
    """

    heads: tuple[str, ...]
    attributes: tuple[str, ...] = ("loss_mask",)
    use_sigmoid: bool = True
    activate: bool = True
    has_maps: bool = True
    points: tuple[str, ...] = ()
    tells: bool = False


#: The first that fits is what a head is.
_PLACES = (
    _Place(("DynamicMaskHead", "DecoupledSOLOHead"), activate=False),
    _Place(("FCNMaskHead",), tells=True),
    _Place(("MaskPointHead",), ("loss_point",), has_maps=False, tells=True),
    _Place(
        ("Mask2FormerHead",),
        ("loss_mask", "loss_dice"),
        has_maps=False,
        points=("loss_mask",),
    ),
    _Place(("MaskFormerHead",), ("loss_mask", "loss_dice"), points=("loss_mask",)),
    _Place(("BoxInstMaskHead",), has_maps=False),
    _Place(("SOLOHead", "CondInstMaskHead", "RTMDetInsHead")),
    _Place(("BaseSemanticHead",), ("loss_seg",), use_sigmoid=False),
    _Place(("FusedSemanticHead",), ("criterion",), use_sigmoid=False),
)


def check_mask_losses(name: str, module: Any) -> Iterator[Finding]:
    """Find losses of masks that a head does not pass what they take.

    Args:
        name: Of a module of the model.
        module: The module.
    """
    if isinstance(module, InstanceWeightedLoss):
        return
    for attribute, loss in module.named_children():
        where = f"`{name}` ({type(module).__name__})"
        if isinstance(loss, OverlapLoss):
            yield from _of_overlap(where, module, attribute, loss)
        elif isinstance(loss, InstanceWeightedLoss) and not isinstance(module, _TELLS):
            yield _untold(where, module, attribute, "an InstanceWeightedLoss")


def _of_overlap(
    where: str, head: Any, attribute: str, loss: OverlapLoss
) -> Iterator[Finding]:
    """Yield what is wrong with a loss of overlap in one head."""
    kind = type(loss).__name__
    of_mmdet = any(base.__module__.startswith("mmdet.") for base in type(head).__mro__)
    fitting = (p for p in _PLACES if isinstance(head, classes_named(p.heads)))
    place = next(fitting, None)
    if place is None or attribute not in place.attributes:
        if of_mmdet:
            yield _other(where, head, attribute, f"no masks to {kind}")
        return
    attribute = _IN_CONFIG.get(attribute, attribute)
    if loss.use_sigmoid != place.use_sigmoid:
        what = "masks of instances" if place.use_sigmoid else "maps of classes"
        remedy = f"Write `use_sigmoid={place.use_sigmoid}` into `{attribute}`"
        if loss.only_logits:
            remedy = f"Write {as_config(attribute, _MAPS)}"
        evidence = f"{what} to {kind} with use_sigmoid={loss.use_sigmoid}"
        yield _other(where, head, attribute, evidence, remedy)
    elif loss.activate != place.activate:
        what = "logits" if place.activate else "probabilities"
        remedy = f"Write `activate={place.activate}` into `{attribute}`"
        if loss.only_logits:
            remedy = f"Write {as_config(attribute, _PROBABILITIES)}"
        evidence = f"{what} to {kind} with activate={loss.activate}"
        yield _other(where, head, attribute, evidence, remedy)
    elif loss.needs_maps and (not place.has_maps or attribute in place.points):
        evidence = f"points or projections of masks to {kind}, which goes by the place"
        yield _other(where, head, attribute, evidence)
    elif attribute in place.points and not isinstance(head, _TELLS):
        yield _untold(
            where, head, attribute, f"{kind} gets the points of all masks in one row"
        )
    elif loss.class_weight.by_class and place.use_sigmoid:
        told = place.tells and not getattr(head, "class_agnostic", False)
        if not told and not isinstance(head, _TELLS):
            yield _untold(where, head, attribute, f"{kind} with `class_weight`")


#: Losses whose name in the config is another one than in the head.
_IN_CONFIG = {"criterion": "loss_seg"}
_MAPS = dict(type="imb_det.DiceLoss", use_sigmoid=False)
_PROBABILITIES = dict(type="imb_det.DiceLoss", activate=False)
_OF_ROIS = dict(
    type="imb_det.CrossEntropyLoss", use_mask=True, class_weight="sqrt_inverse"
)


def _other(
    where: str, head: Any, attribute: str, evidence: str, remedy: str | None = None
) -> Finding:
    if remedy is None:
        config = own_loss(head, attribute)
        config = config or dict(type="mmdet.CrossEntropyLoss", use_sigmoid=True)
        remedy = f"Write {as_config(attribute, config)}"
    evidence = f"in `{attribute}` it passes {evidence}"
    return Finding("mask_loss", Severity.ERROR, _PASSES, where, evidence, remedy)


def _untold(where: str, head: Any, attribute: str, evidence: str) -> Finding:
    """Make the finding of a head that does not tell the classes of its instances."""
    remedy = f"Leave `class_weight` out of `{attribute}`, or give it one number"
    if isinstance(head, MaskFormerHead):
        kind = "Mask2FormerHead"
        if type(head).__name__ != kind:
            kind = "MaskFormerHead"
        remedy = f"Use a head that does: `type='imb_det.{kind}'`"
    elif "InstanceWeighted" in evidence:
        remedy = f"Write the loss inside of it into `{attribute}`"
        if isinstance(head, classes_named(("FCNMaskHead", "MaskPointHead"))):
            remedy = f"Write {as_config(attribute, _OF_ROIS)}"
    elif getattr(head, "class_agnostic", False):
        remedy = "Set `class_agnostic=False`, or give `class_weight` one number"
    return Finding(
        "loss_of_instances",
        Severity.ERROR,
        "a head does not tell a loss the classes of its instances",
        where,
        f"`{attribute}`: {evidence}",
        remedy,
    )
