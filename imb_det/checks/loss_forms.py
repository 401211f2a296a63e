"""How heads of mmdet call losses in other forms than logits with classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mmdet.models.losses import QualityFocalLoss
from mmdet.registry import MODELS

from imb_det.losses import ImbalanceLoss
from imb_det.statistics.class_vector import ClassVector

__all__ = ["FORMS", "Form", "classes_named"]

_QUALITY = dict(type="imb_det.QualityFocalLoss", use_sigmoid=True, beta=2.0)
_MASKS = dict(type="imb_det.CrossEntropyLoss", use_mask=True)
_DICE = dict(type="mmdet.DiceLoss")
_PIXELS = dict(type="imb_det.CrossEntropyLoss", ignore_index=255)
_GHM = dict(type="imb_det.GHMCLoss", use_sigmoid=True, average="avg_factor")


@dataclass(frozen=True)
class Form:
    """How some heads of mmdet call one of their losses.

    Args:
        heads: Names of their classes, subclasses included.
        attribute: The loss in the head.
        passes: What the head does with it.
        others: Names of subclasses that do something else. Default: none.
        instead: Config of a loss that fits; None for that of the head's signature, or
            where there is none, for no remedy but another head. Default: None.
        takes: Tells whether a loss of the library has the form. Default: none has.
        argument: What the attribute is called in the config. Default: ``attribute``.
        when: Tells whether a head, as it is configured, does it. Default: always.
        hint: What else may help, for the remedy. Default: nothing.
    """

    heads: tuple[str, ...]
    attribute: str
    passes: str
    others: tuple[str, ...] = ()
    instead: dict[str, Any] | None = None
    takes: Callable[[Any], bool] = lambda loss: False
    argument: str = ""
    when: Callable[[Any], bool] = lambda head: True
    hint: str = ""

    def fits(self, module: object) -> bool:
        """Tell whether a module is one of the heads."""
        return (
            isinstance(module, classes_named(self.heads))
            and not isinstance(module, classes_named(self.others))
            and self.when(module)
        )


#: Of all heads that have one.
FORMS = (
    Form(
        ("FreeAnchorRetinaHead", "AutoAssignHead"),
        "loss_cls",
        "computes its loss by itself: what stands there has no effect",
    ),
    Form(
        ("TOODHead",),
        "loss_cls",
        "passes probabilities with (label, quality)",
        instead={**_QUALITY, "activated": True},
        takes=lambda loss: (
            _takes_quality(loss) and loss.activated and not loss.own_normaliser
        ),
    ),
    Form(
        ("TOODHead",),
        "initial_loss_cls",
        "passes probabilities, not logits",
        instead=dict(type="imb_det.FocalLoss", use_sigmoid=True, activated=True),
        takes=lambda loss: getattr(loss, "activated", False),
    ),
    Form(
        ("GFLHead",),
        "loss_cls",
        "passes (label, quality)",
        instead=_QUALITY,
        takes=lambda loss: _takes_quality(loss),
    ),
    Form(
        ("RTMDetHead",),
        "loss_cls",
        "passes (label, quality), and divides by the sum of qualities itself",
        instead=_QUALITY,
        takes=lambda loss: _takes_quality(loss) and not loss.own_normaliser,
    ),
    Form(
        ("FSAFHead", "PAAHead"),
        "loss_cls",
        "chooses positives by the losses of single elements",
        instead=dict(type="imb_det.FocalLoss", use_sigmoid=True),
        takes=lambda loss: loss.use_sigmoid and not loss.of_rows,
    ),
    Form(
        ("FSAFHead", "PAAHead"),
        "loss_cls",
        "compares the losses of single elements, or divides them itself",
        instead=_GHM,
        takes=lambda loss: not loss.own_normaliser,
    ),
    Form(
        ("DINOHead",),
        "loss_cls",
        "divides denoising queries by their own objects, of which they have many",
        instead=_GHM,
        takes=lambda loss: not loss.own_normaliser,
    ),
    Form(
        ("VFNetHead",),
        "loss_cls",
        "passes overlaps of boxes as targets",
        instead=dict(type="imb_det.VarifocalLoss", use_sigmoid=True),
        takes=lambda loss: _takes_quality(loss),
    ),
    Form(
        ("YOLOXHead",),
        "loss_cls",
        "passes overlaps of boxes as targets, and divides their sum itself",
        instead=dict(
            type="imb_det.CrossEntropyLoss", use_sigmoid=True, reduction="sum"
        ),
        takes=lambda loss: (
            _takes_quality(loss) and loss.reduction == "sum" and not loss.own_normaliser
        ),
    ),
    Form(
        ("DETRHead",),
        "loss_cls",
        "passes qualities to a quality focal loss, and classes to a loss around one",
        instead=_QUALITY,
        takes=lambda loss: (
            isinstance(loss, QualityFocalLoss)
            or not any(isinstance(part, QualityFocalLoss) for part in loss.modules())
        ),
    ),
    Form(
        ("ATSSVLFusionHead", "GroundingDINOHead"),
        "loss_cls",
        "passes logits of words, (N,), and which word is of which class changes with "
        "the prompt: weights, counts and draws of classes have no place there",
        instead=dict(type="mmdet.FocalLoss", use_sigmoid=True),
        hint="; rare classes are helped by `sampler=dict(type='imb_det."
        "RepeatFactorSampler')`, and shown by `imb_det.LVISMetric` or "
        "`imb_det.CocoMetric`",
    ),
    Form(
        ("YOLACTHead",),
        "loss_cls",
        "keeps the rows of background with the largest losses",
        instead=dict(
            type="imb_det.CrossEntropyLoss", use_sigmoid=False, reduction="none"
        ),
        takes=lambda loss: (
            loss.reduction == "none" and (loss.of_rows or not loss.use_sigmoid)
        ),
        when=lambda head: head.use_ohem,
    ),
    Form(
        ("MultiInstanceBBoxHead",),
        "loss_cls",
        "passes 0 for background and classes from 1 on, not background last",
        instead=dict(
            type="mmdet.CrossEntropyLoss", use_sigmoid=False, reduction="none"
        ),
    ),
    Form(("GridHead",), "loss_grid", "passes maps of points of a grid"),
    Form(("YOLOV3Head",), "loss_conf", "passes logits (B, N) of one class"),
    Form(("YOLOV3Head",), "loss_xy", "passes coordinates (B, N, 2)"),
    Form(
        ("FCOSHead", "ATSSHead"),
        "loss_centerness",
        "passes logits (N,)",
        others=("PAAHead",),
    ),
    Form(("DDODHead",), "loss_iou", "passes logits (N,)"),
    Form(
        ("CenterNetUpdateHead",),
        "loss_cls",
        "passes probabilities and heatmaps",
        instead=dict(type="mmdet.GaussianFocalLoss", pos_weight=0.25, neg_weight=0.75),
    ),
    Form(("CenterNetHead",), "loss_center_heatmap", "passes heatmaps (B, C, h, w)"),
    Form(("CornerHead",), "loss_heatmap", "passes heatmaps (B, C, h, w)"),
    Form(
        ("Mask2FormerHead",),
        "loss_mask",
        "passes points of masks, (N,)",
        instead=dict(
            type="imb_det.InstanceWeightedLoss",
            loss=dict(type="mmdet.CrossEntropyLoss", use_sigmoid=True),
        ),
        hint=", and `type='imb_det.Mask2FormerHead'`, which tells it the classes",
    ),
    Form(
        ("MaskFormerHead",),
        "loss_mask",
        "passes pixels of masks without the classes of their objects",
        others=("Mask2FormerHead",),
        instead=dict(
            type="imb_det.InstanceWeightedLoss",
            loss=dict(type="mmdet.FocalLoss", use_sigmoid=True),
        ),
        takes=lambda loss: not _goes_by_class(loss),
        hint=", and `type='imb_det.MaskFormerHead'`, which tells it the classes",
    ),
    Form(
        ("FCNMaskHead",),
        "loss_mask",
        "passes masks with the classes of their objects",
        instead=_MASKS,
    ),
    Form(
        ("YOLACTProtonet",),
        "loss_segm",
        "passes maps (C, h, w), whose last axis is no class",
        instead=dict(type="mmdet.CrossEntropyLoss", use_sigmoid=True),
    ),
    Form(
        ("MaskPointHead",),
        "loss_point",
        "passes points of masks with the classes of their objects",
        instead=_MASKS,
    ),
    Form(
        ("BaseSemanticHead",),
        "loss_seg",
        "passes pixels, with a label for void ones and none for background",
        instead=_PIXELS,
        takes=lambda loss: _takes_pixels(loss),
    ),
    Form(
        ("FusedSemanticHead",),
        "criterion",
        "passes maps (B, C, h, w), with a label for void and none for background",
        instead=_PIXELS,
        takes=lambda loss: _takes_pixels(loss),
        argument="loss_seg",
    ),
    Form(
        (
            "SOLOHead",
            "SOLOV2Head",
            "CondInstMaskHead",
            "RTMDetInsHead",
            "DynamicMaskHead",
        ),
        "loss_mask",
        "passes masks without their classes",
        instead=_DICE,
    ),
)


def _takes_quality(loss: Any) -> bool:
    return isinstance(loss, ImbalanceLoss) and loss.takes_quality


def _goes_by_class(loss: Any) -> bool:
    parts = (part for part in loss.modules() if isinstance(part, ClassVector))
    return any(part.by_class for part in parts)


def _takes_pixels(loss: Any) -> bool:
    return getattr(loss, "ignore_index", None) is not None


def classes_named(names: tuple[str, ...]) -> tuple[type, ...]:
    """Return the classes of mmdet with these names that this version has."""
    found = [MODELS.module_dict.get(name) for name in names]
    return tuple(kind for kind in found if kind is not None)
