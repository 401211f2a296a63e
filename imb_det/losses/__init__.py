"""Losses."""

from .absgd_loss import ABSGDLoss
from .acsl_loss import ACSLLoss
from .alpha_loss import AlphaLoss
from .asymmetric_loss import AsymmetricLoss
from .balanced_group_softmax_loss import BalancedGroupSoftmaxLoss
from .base import ImbalanceLoss
from .cals_loss import CALSLoss
from .cdb_loss import CDBLoss, MaskCDBLoss
from .cross_entropy_loss import CrossEntropyLoss, MaskCrossEntropyLoss
from .dice_loss import DiceLoss
from .ebl_loss import EBLLoss
from .ecm_loss import ECMLoss
from .eql_loss import DropLoss, EQLLoss
from .eqlv2_loss import EQLv2Loss
from .equalized_focal_loss import EqualizedFocalLoss, EqualizedQualityFocalLoss
from .fading_loss import FadingLoss
from .federated_loss import FederatedLoss
from .flushing import flush_statistics, manage_statistics
from .focal_loss import FocalLoss
from .ghmc_loss import GHMCLoss
from .ghmr_loss import GHMRLoss
from .grouped_softmax import GroupedSoftmaxLink
from .gumbel_loss import GumbelLoss
from .iif_loss import IIFLoss
from .instance_weighted_loss import InstanceWeightedLoss
from .label_aware_smoothing_loss import LabelAwareSmoothingLoss
from .ldam_loss import LDAMLoss
from .links import (
    GumbelLink,
    Link,
    ScaledSoftmaxLink,
    SigmoidLink,
    SigmoidWithBackgroundLink,
    SigmoidWithObjectnessLink,
    SoftmaxLink,
    SoftmaxWithObjectnessLink,
)
from .logit_clip_loss import LogitClipLoss
from .lovasz_loss import LovaszLoss
from .mask_loss import MaskLoss
from .observed import Observed
from .overlap_loss import OverlapLoss
from .pixel_loss import PixelLoss
from .quality_focal_loss import QualityFocalLoss
from .row_weights import RowWeights, bind_losses, row_weights
from .seesaw_loss import SeesawLoss
from .self_adjusting_dice_loss import SelfAdjustingDiceLoss
from .sigmoid_kernel import sigmoid_kernel
from .softmax_kernel import softmax_kernel
from .spatial_class_balanced_loss import SpatialClassBalancedLoss
from .step_draws import StepDraws
from .terms import Call, Gathered, Terms
from .told_instances import ToldInstances
from .tversky_loss import TverskyLoss
from .varifocal_loss import VarifocalLoss
from .vs_loss import BalancedSoftmaxLoss, CDTLoss, LogitAdjustmentLoss, VSLoss
from .wrapper import LossWrapper

__all__ = [
    "ABSGDLoss",
    "ACSLLoss",
    "AlphaLoss",
    "AsymmetricLoss",
    "BalancedGroupSoftmaxLoss",
    "BalancedSoftmaxLoss",
    "CALSLoss",
    "CDBLoss",
    "CDTLoss",
    "Call",
    "CrossEntropyLoss",
    "DiceLoss",
    "DropLoss",
    "EBLLoss",
    "ECMLoss",
    "EQLLoss",
    "EQLv2Loss",
    "EqualizedFocalLoss",
    "EqualizedQualityFocalLoss",
    "FadingLoss",
    "FederatedLoss",
    "FocalLoss",
    "GHMCLoss",
    "GHMRLoss",
    "Gathered",
    "GroupedSoftmaxLink",
    "GumbelLink",
    "GumbelLoss",
    "IIFLoss",
    "ImbalanceLoss",
    "InstanceWeightedLoss",
    "LDAMLoss",
    "LabelAwareSmoothingLoss",
    "Link",
    "LogitAdjustmentLoss",
    "LogitClipLoss",
    "LossWrapper",
    "LovaszLoss",
    "MaskCDBLoss",
    "MaskCrossEntropyLoss",
    "MaskLoss",
    "Observed",
    "OverlapLoss",
    "PixelLoss",
    "QualityFocalLoss",
    "RowWeights",
    "ScaledSoftmaxLink",
    "SeesawLoss",
    "SelfAdjustingDiceLoss",
    "SigmoidLink",
    "SigmoidWithBackgroundLink",
    "SigmoidWithObjectnessLink",
    "SoftmaxLink",
    "SoftmaxWithObjectnessLink",
    "SpatialClassBalancedLoss",
    "StepDraws",
    "Terms",
    "ToldInstances",
    "TverskyLoss",
    "VSLoss",
    "VarifocalLoss",
    "bind_losses",
    "flush_statistics",
    "manage_statistics",
    "row_weights",
    "sigmoid_kernel",
    "softmax_kernel",
]
