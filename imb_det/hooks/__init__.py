"""Hooks."""

from .check_invalid_loss_hook import CheckInvalidLossHook
from .epoch_seed_hook import EpochSeedHook
from .gradient_hook import GradientHook
from .imbalance_hook import ImbalanceHook
from .pipeline_switch_hook import PipelineSwitchHook
from .stage_hook import StageHook

__all__ = [
    "CheckInvalidLossHook",
    "EpochSeedHook",
    "GradientHook",
    "ImbalanceHook",
    "PipelineSwitchHook",
    "StageHook",
]
