"""Losses."""

from .base import ImbalanceLoss
from .cdb_loss import CDBLoss, MaskCDBLoss
from .cross_entropy_loss import CrossEntropyLoss, MaskCrossEntropyLoss
from .flushing import flush_statistics, manage_statistics
from .focal_loss import FocalLoss
from .ghmc_loss import GHMCLoss
from .ghmr_loss import GHMRLoss
from .links import (
    GumbelLink,
    Link,
    SigmoidLink,
    SigmoidWithObjectnessLink,
    SoftmaxLink,
    SoftmaxWithObjectnessLink,
)
from .mask_loss import MaskLoss
from .observed import Observed
from .sigmoid_kernel import sigmoid_kernel
from .softmax_kernel import softmax_kernel
from .terms import Call, Terms

__all__ = [
    "CDBLoss",
    "Call",
    "CrossEntropyLoss",
    "FocalLoss",
    "GHMCLoss",
    "GHMRLoss",
    "GumbelLink",
    "ImbalanceLoss",
    "Link",
    "MaskCDBLoss",
    "MaskCrossEntropyLoss",
    "MaskLoss",
    "Observed",
    "SigmoidLink",
    "SigmoidWithObjectnessLink",
    "SoftmaxLink",
    "SoftmaxWithObjectnessLink",
    "Terms",
    "flush_statistics",
    "manage_statistics",
    "sigmoid_kernel",
    "softmax_kernel",
]
