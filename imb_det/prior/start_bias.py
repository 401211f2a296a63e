"""The bias that a classifier starts with, where its loss needs one."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import torch
from mmengine.logging import print_log
from torch import nn

from imb_det.losses import ImbalanceLoss

from .classification_bias import classification_layers
from .pretrained_bias import is_trained

__all__ = ["set_start_biases"]


@torch.no_grad()
def set_start_biases(model: nn.Module, loaded: Mapping[str, torch.Size]) -> None:
    """Start the classifiers of losses whose link names a bias.

    At a bias of 0 every one of C sigmoids starts at 1/2, and the first iterations of a
    method that learns from gradients see nothing but negatives.

    Args:
        model: The detector.
        loaded: Shapes of the biases that ``load_from`` has brought, by name: they are
            trained and stay.
    """
    for path, head in model.named_modules():
        loss = getattr(head, "loss_cls", None)
        if not isinstance(loss, ImbalanceLoss) or loss.link.start_bias is None:
            continue
        value, owner = loss.link.start_bias, type(loss).__name__
        layers = {**classification_layers(head), **_branches(head)}
        biases = {
            f"{path}.{name}.bias": layer.bias
            for name, layer in layers.items()
            if layer.bias is not None
        }
        if not biases:
            print_log(
                f"{owner} starts with a bias of {value:g} of its classifier, but "
                f"`{path}` ({type(head).__name__}) has no classification layer with a "
                "bias that is known; set it in the `init_cfg` of the head",
                "current",
                logging.WARNING,
            )
        for name, bias in biases.items():
            if is_trained(name, bias, model, head, loaded):
                continue
            bias.fill_(value)
            print_log(f"{owner}: `{name}` starts at {value:g}", "current")


def _branches(head: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    """Return the layers of a head that classify for one level, or decoder layer, each.

    Heads of queries have the same layer more than once where they share it.
    """
    return {
        f"{name}.{number}": layer
        for name, branches in head.named_children()
        if isinstance(branches, nn.ModuleList)
        and name.endswith(("cls", "cls_branches"))
        for number, layer in enumerate(branches)
        if isinstance(layer, (nn.Conv2d, nn.Linear))
    }
