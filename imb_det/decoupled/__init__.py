"""Decoupled training: features first, then the classifier."""

from .freeze_hook import FreezeHook

__all__ = ["FreezeHook"]
