"""Hooks."""

from .epoch_seed_hook import EpochSeedHook
from .gradient_hook import GradientHook
from .imbalance_hook import ImbalanceHook

__all__ = [
    "EpochSeedHook",
    "GradientHook",
    "ImbalanceHook",
]
