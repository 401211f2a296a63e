"""Parts of a model, started anew in the middle of a training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.dist import broadcast
from mmengine.model import BaseModule
from torch import nn

from imb_det.prior.start_bias import set_start_biases

from .stage_parts import is_in

__all__ = ["reinitialise"]


@torch.no_grad()
def reinitialise(model: nn.Module, paths: Sequence[str], seed: int) -> list[str]:
    """Give modules the weights of a new model, and leave all others as they are.

    They start as the head around them says: by its ``init_cfg``, by ``init_weights`` of
    its own, at the bias that its loss names. All ranks get the same numbers.

    Args:
        model: The detector.
        paths: Of modules.
        seed: Of the draws; the random numbers of the training stay.

    Returns:
        Names of the parameters that are new.
    """
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    devices = list(range(torch.cuda.device_count())) if _on_cuda(model) else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        for path in paths:
            for layer in model.get_submodule(path).modules():
                reset = getattr(layer, "reset_parameters", None)
                if callable(reset):
                    reset()
            _initialise(_owner(model, path))
    set_start_biases(model, {})
    state = model.state_dict()
    # A layer that decoder layers share has several names, and starts anew under all.
    anew = {value.data_ptr() for name, value in state.items() if is_in(name, paths)}
    for name, value in state.items():
        if value.data_ptr() in anew:
            broadcast(value)
        elif value.shape == kept[name].shape:
            value.copy_(kept[name])
    return [name for name, _ in model.named_parameters() if is_in(name, paths)]


def _on_cuda(model: nn.Module) -> bool:
    return any(parameter.is_cuda for parameter in model.parameters())


def _owner(model: nn.Module, path: str) -> nn.Module:
    """Return the module that says how a part starts: itself, or the nearest above."""
    while path:
        module = model.get_submodule(path)
        if isinstance(module, BaseModule):
            return module
        path = path.rpartition(".")[0]
    return model


def _initialise(module: nn.Module) -> None:
    """Call ``init_weights`` as for a new module, without a line for each parameter."""
    notes = {
        parameter: dict(init_info="", tmp_mean_value=parameter.mean().cpu())
        for parameter in module.parameters()
    }
    parts = list(module.modules())
    for part in parts:
        part._params_init_info = notes  # type: ignore[assignment]
        if isinstance(part, BaseModule):
            part.is_init = False
    try:
        module.init_weights()  # type: ignore[operator]
    finally:
        for part in parts:
            part.__dict__.pop("_params_init_info", None)
