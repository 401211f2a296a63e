"""Imbalance toolbox for MMDetection 3.x; importing it registers everything."""

from mmengine.config.utils import MODULE2PACKAGE

from .compat import check_stack

__version__ = "0.1.0"

check_stack()
# Lets mmengine resolve `_base_ = 'imb_det::...'` in configs read from now on.
MODULE2PACKAGE["imb_det"] = "imb_det"

from . import datasets, evaluation, heads, hooks  # noqa: E402, F401
