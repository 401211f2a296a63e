"""Who calls a loss, for its messages."""

from __future__ import annotations

import inspect

from torch import nn

__all__ = ["in_head", "instead"]

#: What mmdet has in place of our losses where a head calls them in another form.
_OF_MMDET = {"FocalLoss": "FocalLoss", "GHMRLoss": "GHMR"}


def in_head(owner: str) -> str:
    """Name a loss together with the head that is calling it, if one is.

    For messages: it looks through the calls that led here.

    Args:
        owner: Name of the class of the loss.

    Example:
        ``CrossEntropyLoss (`loss_centerness` of FCOSHead)``
    """
    attribute, head = _caller(owner)
    return f"{owner} (`{attribute}` of {head})" if head else owner


def instead(owner: str) -> str:
    """Say what to write where a head calls a loss in a form that it does not have.

    Args:
        owner: Name of the class of the loss.
    """
    attribute, _ = _caller(owner)
    kind = _OF_MMDET.get(owner, "CrossEntropyLoss")
    arguments = "" if kind == "GHMR" else ", use_sigmoid=True"
    return (
        "a head that calls it so needs mmdet's own loss, "
        f"`{attribute}=dict(type='mmdet.{kind}'{arguments})` for example"
    )


def _caller(owner: str) -> tuple[str, str]:
    """Return the attribute that holds the loss, and the class of its head, or ''."""
    loss = None
    frame = inspect.currentframe()
    while frame is not None:
        me = frame.f_locals.get("self")
        if isinstance(me, nn.Module):
            if loss is None and type(me).__name__ == owner:
                loss = me
            for name, child in me._modules.items():
                if loss is not None and child is loss:
                    return name, type(me).__name__
        frame = frame.f_back
    return "loss_cls", ""
