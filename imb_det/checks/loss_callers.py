"""Heads that call a loss in a form that losses of the library do not have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mmdet.models.dense_heads import RPNHead
from mmdet.registry import MODELS

from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity
from imb_det.losses import ImbalanceLoss, MaskLoss
from imb_det.losses.caller import as_config, own_loss
from imb_det.statistics.class_vector import ClassVector

__all__ = ["check_loss_callers"]

_QUALITY = dict(type="imb_det.QualityFocalLoss", use_sigmoid=True, beta=2.0)
_PROPOSALS = dict(type="imb_det.CrossEntropyLoss", use_sigmoid=True)
_DICE = dict(type="mmdet.DiceLoss")


@dataclass(frozen=True)
class _Form:
    """How some heads of mmdet call one of their losses.

    Args:
        heads: Names of their classes, subclasses included.
        attribute: The loss in the head.
        passes: What the head does with it.
        others: Names of subclasses that do something else. Default: none.
        instead: Config of a loss that fits; None for that of the head's signature, or
            where there is none, for no remedy but another head. Default: None.
        takes: Tells whether a loss of the library has the form. Default: none has.
    """

    heads: tuple[str, ...]
    attribute: str
    passes: str
    others: tuple[str, ...] = ()
    instead: dict[str, Any] | None = None
    takes: Callable[[Any], bool] = lambda loss: False

    def fits(self, module: object) -> bool:
        """Tell whether a module is one of the heads."""
        return isinstance(module, _classes(self.heads)) and not isinstance(
            module, _classes(self.others)
        )


_FORMS = (
    _Form(
        ("FreeAnchorRetinaHead", "AutoAssignHead"),
        "loss_cls",
        "computes its loss by itself: what stands there has no effect",
    ),
    _Form(
        ("TOODHead",),
        "loss_cls",
        "passes probabilities with (label, quality)",
        instead={**_QUALITY, "activated": True},
        takes=lambda loss: _takes_quality(loss) and loss.activated,
    ),
    _Form(
        ("TOODHead",),
        "initial_loss_cls",
        "passes probabilities, not logits",
        instead=dict(type="imb_det.FocalLoss", use_sigmoid=True, activated=True),
        takes=lambda loss: getattr(loss, "activated", False),
    ),
    _Form(
        ("GFLHead", "RTMDetHead"),
        "loss_cls",
        "passes (label, quality)",
        instead=_QUALITY,
        takes=lambda loss: _takes_quality(loss) and not loss.activated,
    ),
    _Form(
        ("FSAFHead",),
        "loss_cls",
        "chooses levels by the losses of single elements",
        instead=dict(type="imb_det.FocalLoss", use_sigmoid=True),
        takes=lambda loss: loss.use_sigmoid and not loss.of_rows,
    ),
    _Form(
        ("VFNetHead", "YOLOXHead"),
        "loss_cls",
        "passes overlaps of boxes as targets",
        instead=dict(type="imb_det.VarifocalLoss", use_sigmoid=True),
        takes=lambda loss: _takes_quality(loss) and not loss.activated,
    ),
    _Form(
        ("ATSSVLFusionHead", "GroundingDINOHead"),
        "loss_cls",
        "passes logits of words, (N,)",
        instead=dict(type="mmdet.FocalLoss", use_sigmoid=True),
    ),
    _Form(("YOLOV3Head",), "loss_cls", "passes logits (B, N, C)"),
    _Form(("YOLOV3Head",), "loss_conf", "passes logits (B, N) of one class"),
    _Form(("YOLOV3Head",), "loss_xy", "passes coordinates (B, N, 2)"),
    _Form(
        ("FCOSHead", "ATSSHead"),
        "loss_centerness",
        "passes logits (N,)",
        others=("PAAHead",),
    ),
    _Form(("DDODHead",), "loss_iou", "passes logits (N,)"),
    _Form(
        ("CenterNetUpdateHead",),
        "loss_cls",
        "passes probabilities and heatmaps",
        instead=dict(type="mmdet.GaussianFocalLoss", pos_weight=0.25, neg_weight=0.75),
    ),
    _Form(("CenterNetHead",), "loss_center_heatmap", "passes heatmaps (B, C, h, w)"),
    _Form(("CornerHead",), "loss_heatmap", "passes heatmaps (B, C, h, w)"),
    _Form(
        ("Mask2FormerHead",),
        "loss_mask",
        "passes points of masks, (N,)",
        instead=dict(type="mmdet.CrossEntropyLoss", use_sigmoid=True),
    ),
    _Form(
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
        for form in _FORMS:
            loss = getattr(module, form.attribute, None)
            ours = isinstance(loss, (ImbalanceLoss, MaskLoss))
            if not ours or form.takes(loss) or not form.fits(module):
                continue
            config = form.instead or own_loss(module, form.attribute)
            remedy = "Leave `loss_cls` out, or use another head such as RetinaHead"
            if "no effect" not in form.passes and config is not None:
                remedy = f"Write {as_config(form.attribute, config)}"
            yield Finding(
                "loss_caller",
                Severity.ERROR,
                "a head calls a loss in a form that it does not have",
                f"`{name}` ({type(module).__name__})",
                f"{form.passes}, in `{form.attribute}`, {type(loss).__name__}",
                remedy,
            )


def _takes_quality(loss: Any) -> bool:
    return isinstance(loss, ImbalanceLoss) and loss.takes_quality


def _of_proposals(name: str, module: Any) -> Iterator[Finding]:
    """Find a loss that goes by counts of classes, where all objects are one class."""
    loss = getattr(module, "loss_cls", None)
    if not (isinstance(module, RPNHead) and isinstance(loss, ImbalanceLoss)):
        return
    parts = [p for p in loss.modules() if isinstance(p, ClassVector)]
    if by_counts := [p.name for p in parts if p.balances_by == "counts"]:
        yield Finding(
            "loss_of_proposals",
            Severity.ERROR,
            "a head of proposals knows no classes, by which its loss goes",
            f"`{name}` ({type(module).__name__})",
            f"{type(loss).__name__} has {by_counts} from the counts of classes",
            f"Write {as_config('loss_cls', _PROPOSALS)}",
        )


def _classes(names: tuple[str, ...]) -> tuple[type, ...]:
    """Return the classes of mmdet with these names that this version has."""
    found = [MODELS.module_dict.get(name) for name in names]
    return tuple(kind for kind in found if kind is not None)
