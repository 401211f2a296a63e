"""Which biases of a model come from a checkpoint, and so are trained already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.model import PretrainedInit
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

__all__ = ["bias_shapes", "is_trained", "pretrained_biases"]


def bias_shapes(checkpoint: Mapping[str, Any]) -> dict[str, torch.Size]:
    """Return the shapes of the biases that a detector takes from a checkpoint, by name.

    Args:
        checkpoint: Content of the file: ``state_dict``, or what that would hold.
    """
    state = checkpoint.get("state_dict", checkpoint)
    shapes = {
        key.removeprefix("module."): value.shape
        for key, value in state.items()
        if key.endswith(".bias")
    }
    # mmdet loads a network that was trained alone, RPN, into a `rpn_head` too.
    if not any(key.startswith("rpn_head.") for key in shapes):
        alone = [key for key in shapes if key.startswith("bbox_head.")]
        shapes.update({k.replace("bbox_head", "rpn_head", 1): shapes[k] for k in alone})
    return shapes


def pretrained_biases(part: nn.Module) -> dict[str, torch.Size]:
    """Return the same for the checkpoints of a part's own ``init_cfg``.

    Args:
        part: The detector, or a head, with its ``init_cfg``: none, one, or a list.
    """
    shapes: dict[str, torch.Size] = {}
    configs = getattr(part, "init_cfg", None) or ()
    for config in [configs] if isinstance(configs, Mapping) else configs:
        if config.get("type") not in ("Pretrained", "PretrainedInit", PretrainedInit):
            continue
        content = CheckpointLoader.load_checkpoint(
            config["checkpoint"], map_location="cpu"
        )
        prefix = config.get("prefix")
        start = f"{prefix.removesuffix('.')}." if prefix else ""
        shapes.update(
            (key.removeprefix(start), shape)
            for key, shape in bias_shapes(content).items()
            if key.startswith(start)
        )
    return shapes


def is_trained(
    name: str,
    bias: Tensor,
    model: nn.Module,
    head: nn.Module,
    loaded: Mapping[str, torch.Size],
) -> bool:
    """Tell whether a checkpoint has brought a bias.

    Args:
        name: Of the bias in the model.
        bias: The bias.
        model: The detector.
        head: Its head that has the bias.
        loaded: Shapes of biases of ``load_from``, by name.
    """
    path = next(path for path, part in model.named_modules() if part is head)
    return bias.shape in (
        loaded.get(name),
        pretrained_biases(model).get(name),
        pretrained_biases(head).get(name.removeprefix(f"{path}.")),
    )
