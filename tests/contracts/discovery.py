"""Finds the losses that the library registers."""

import pkgutil
from importlib import import_module

import imb_det.losses
from imb_det.losses import (
    ImbalanceLoss,
    InstanceWeightedLoss,
    OverlapLoss,
    PixelLoss,
)
from imb_det.registry import MODELS


def registered_losses():
    """All registered classes of ``imb_det.losses`` by name."""
    for module in pkgutil.walk_packages(imb_det.losses.__path__, "imb_det.losses."):
        import_module(module.name)
    return {
        name: cls
        for name, cls in MODELS.module_dict.items()
        if cls.__module__.startswith("imb_det.losses.")
    }


def classification_losses():
    """Names of those that are called with logits and labels."""
    found = registered_losses().items()
    return [name for name, cls in found if issubclass(cls, ImbalanceLoss)]


def box_losses():
    """Names of those that are called with predicted and target boxes."""
    found = registered_losses().items()
    others = (ImbalanceLoss, InstanceWeightedLoss, OverlapLoss, PixelLoss)
    return [name for name, cls in found if not issubclass(cls, others)]


def overlap_losses():
    """Names of those that are called with masks; one that a hook tells weights is not.

    That one is in the suite of mask heads.
    """
    found = registered_losses().items()
    told = "set_class_difficulty_weights"
    return [
        n for n, cls in found if issubclass(cls, OverlapLoss) and not hasattr(cls, told)
    ]
