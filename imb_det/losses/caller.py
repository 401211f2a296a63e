"""Who calls a loss, for its messages."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

__all__ = ["as_config", "in_head", "instead", "own_loss"]


def in_head(owner: str) -> str:
    """Name a loss together with the head that is calling it, if one is.

    For messages: it looks through the calls that led here.

    Args:
        owner: Name of the class of the loss.

    Returns:
        Such as ``CrossEntropyLoss (`loss_centerness` of FCOSHead)``.
    """
    attribute, head = _caller(owner)
    return f"{owner} (`{attribute}` of {type(head).__name__})" if head else owner


def instead(owner: str) -> str:
    """Say what to write where a head calls a loss in a form that it does not have.

    Args:
        owner: Name of the class of the loss.
    """
    attribute, head = _caller(owner)
    text = "a head that calls it so needs a loss of mmdet"
    if head is None:
        return text
    config = own_loss(head, attribute) or dict(
        type="mmdet.CrossEntropyLoss", use_sigmoid=True
    )
    return f"{text}: {as_config(attribute, config)}"


def own_loss(head: nn.Module, attribute: str) -> dict[str, Any] | None:
    """Return the config of the loss that a head has by default, if it has one.

    Args:
        head: The head.
        attribute: Name of the loss in it.
    """
    for kind in type(head).__mro__:
        start = vars(kind).get("__init__")
        parameters = inspect.signature(start).parameters if start else {}
        default = getattr(parameters.get(attribute), "default", None)
        if isinstance(default, Mapping) and "type" in default:
            scope = "mmdet." if kind.__module__.startswith("mmdet.") else ""
            return {**default, "type": f"{scope}{default['type']}"}
    return None


def as_config(attribute: str, config: Mapping[str, Any]) -> str:
    """Write a line of a config, for messages."""
    text = ", ".join(f"{key}={value!r}" for key, value in config.items())
    return f"`{attribute}=dict({text})`"


def _caller(owner: str) -> tuple[str, nn.Module | None]:
    """Return the attribute that holds the loss, and the head, or None."""
    loss = None
    frame = inspect.currentframe()
    while frame is not None:
        me = frame.f_locals.get("self")
        if isinstance(me, nn.Module):
            if loss is None and type(me).__name__ == owner:
                loss = me
            for name, child in me._modules.items():
                if loss is not None and child is loss:
                    return name, me
        frame = frame.f_back
    return "loss_cls", None
