"""Hooks."""

from .class_difficulty_hook import ClassDifficultyHook
from .epoch_seed_hook import EpochSeedHook
from .gradient_hook import GradientHook
from .imbalance_hook import ImbalanceHook
from .prior_init_hook import PriorInitHook

__all__ = [
    "ClassDifficultyHook",
    "EpochSeedHook",
    "GradientHook",
    "ImbalanceHook",
    "PriorInitHook",
]
