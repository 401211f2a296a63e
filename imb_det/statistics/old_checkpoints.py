"""Names that numbers of the classes had in checkpoints of former versions."""

from __future__ import annotations

from typing import Any

from torch import nn

from .class_vector import ClassVector

__all__ = ["rename_old_numbers"]


def rename_old_numbers(
    module: nn.Module, state_dict: dict[str, Any], prefix: str
) -> None:
    """Give numbers of checkpoints up to version 0.1 the names that they have now.

    They were buffers of their component, and are those of its :class:`ClassVector`.

    Args:
        module: The component.
        state_dict: What is loaded; changed in place.
        prefix: Start of the names of the component.
    """
    for name, child in module.named_children():
        if isinstance(child, ClassVector) and prefix + name in state_dict:
            state_dict[f"{prefix}{name}.value"] = state_dict.pop(prefix + name)
