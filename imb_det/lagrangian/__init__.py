"""Multipliers of class-adaptive label smoothing, found on held-out images."""

from .cals_hook import CALSHook
from .multipliers import Multipliers

__all__ = ["CALSHook", "Multipliers"]
