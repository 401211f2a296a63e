"""Hooks."""

from .epoch_seed_hook import EpochSeedHook
from .imbalance_hook import ImbalanceHook
from .prior_init_hook import PriorInitHook

__all__ = ["EpochSeedHook", "ImbalanceHook", "PriorInitHook"]
