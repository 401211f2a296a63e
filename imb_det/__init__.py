"""Imbalance toolbox for MMDetection 3.x; importing it registers everything."""

from .compat import check_stack, load_checkpoints_safely

__version__ = "0.1.0"

# Before anything below imports mmdet: a broken stack is explained, not traced back.
check_stack()
load_checkpoints_safely()

from mmengine.config.utils import MODULE2PACKAGE  # noqa: E402

from . import (  # noqa: E402, F401
    backbones,
    calibration,
    datasets,
    decoupled,
    difficulty,
    evaluation,
    federated,
    heads,
    hooks,
    lagrangian,
    layers,
    losses,
    merging,
    prior,
    samplers,
    task_modules,
    transforms,
)

# Lets mmengine resolve `_base_ = 'imb_det::...'` in configs read from now on.
MODULE2PACKAGE["imb_det"] = "imb_det"
