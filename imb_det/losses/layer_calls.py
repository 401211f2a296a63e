"""Which calls of a step statistics learn from, in heads of several decoder layers."""

from __future__ import annotations

from typing import Any

import torch
from mmdet.models.dense_heads import DETRHead, MaskFormerHead
from torch import nn

__all__ = ["LayerCalls", "has_layers", "knows_layers", "learns", "watch_layers"]

#: Losses that these heads call once for each layer.
_OF_LAYERS = ("loss_cls", "loss_bbox", "loss_iou", "loss_mask", "loss_dice")


class LayerCalls:
    """The calls of a loss after a head has run: which one is of the last layer.

    Heads of queries call their losses for the matching queries of one decoder layer
    after the other, and then for what the encoder proposes and for denoising queries.
    All of them train. But they are the same objects, over and over, and those of
    denoising queries are made by hand, so that the statistics of a step are those of
    the last layer alone, whose queries predict.

    Without a head that says so, all calls count.

    Attributes:
        counts: Whether statistics learn from the call that comes, or is being made. It
            stands ready: of a number that changes, compiled code would want to know.
    """

    def __init__(self) -> None:
        self.counts = True
        self._left: int | None = None

    def begin(self, layers: int) -> None:
        """Say that the next calls are of so many layers, from the first to the last."""
        self._left = layers
        self.counts = layers == 1

    def is_over(self) -> None:
        """Say that a call has been made."""
        if self._left is not None:
            self._left -= 1
            self.counts = self._left == 1

    def __reduce__(self) -> tuple[type[LayerCalls], tuple[()]]:
        """Copy and pickle as new: a loss that is copied alone has no head."""
        return LayerCalls, ()


def learns(loss: Any, reduction_override: str | None, every_call: bool = False) -> bool:
    """Tell whether statistics of a loss learn from a call that has come.

    Args:
        loss: With ``layer_calls``.
        reduction_override: Of the call; samplers ask with one, and do not train.
        every_call: Whether they move with each call, as authors have it.
    """
    if not (loss.training and torch.is_grad_enabled() and reduction_override is None):
        return False
    return every_call or loss.layer_calls is None or bool(loss.layer_calls.counts)


class _Watch:
    """Notes how many layers the outputs of a head are of."""

    def __init__(self, calls: list[LayerCalls]) -> None:
        self.calls = calls

    def __call__(self, head: nn.Module, args: Any, outputs: Any) -> None:
        for calls in self.calls:
            calls.begin(len(outputs[0]))


def _made(loss: Any, args: Any, value: Any) -> None:
    """Note that a loss has been called."""
    loss.layer_calls.is_over()


def has_layers(head: nn.Module) -> bool:
    """Tell whether a head calls its losses for several decoder layers."""
    return isinstance(head, (DETRHead, MaskFormerHead))


def knows_layers(head: nn.Module) -> bool:
    """Tell whether the order of these calls is known: that of heads of mmdet."""
    methods = ("forward", "loss", "loss_by_feat")
    places = [getattr(type(head), name).__module__ for name in methods]
    return all(place.startswith(("mmdet.", "imb_det.")) for place in places)


def watch_layers(model: nn.Module) -> None:
    """Let the losses of heads of queries know which of their calls is the last layer's.

    Args:
        model: With heads; it may be called more than once.
    """
    for head in model.modules():
        if not has_layers(head):
            continue
        found = [getattr(head, name, None) for name in _OF_LAYERS]
        losses = [loss for loss in found if isinstance(loss, nn.Module)]
        for loss in losses:
            if getattr(loss, "layer_calls", None) is None:
                loss.layer_calls = LayerCalls()  # type: ignore[assignment]
                loss.register_forward_hook(_made)
        # A loss that was copied, or is another head's, has its calls already.
        watches = [w for w in head._forward_hooks.values() if isinstance(w, _Watch)]
        known = {id(calls) for watch in watches for calls in watch.calls}
        everyone: list[Any] = [loss.layer_calls for loss in losses]
        new = [calls for calls in everyone if id(calls) not in known]
        if new and knows_layers(head):
            head.register_forward_hook(_Watch(new))
