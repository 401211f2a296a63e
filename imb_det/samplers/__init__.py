"""Samplers of training images, drop-in at ``train_dataloader.sampler``."""

from .base import EpochSampler
from .cdb_sampler import CDBSampler
from .class_aware_sampler import ClassAwareSampler
from .receipt import SamplingReceipt
from .repeat_factor_sampler import RepeatFactorSampler
from .staged_sampler import StagedSampler
from .target_level_sampler import TargetLevelSampler

__all__ = [
    "CDBSampler",
    "ClassAwareSampler",
    "EpochSampler",
    "RepeatFactorSampler",
    "SamplingReceipt",
    "StagedSampler",
    "TargetLevelSampler",
]
