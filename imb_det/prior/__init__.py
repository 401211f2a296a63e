"""The foreground prior: counting it, keeping the counts, starting classifiers at it."""

from .foreground_prior import ForegroundPrior, foreground_prior
from .prior_init_hook import PriorInitHook

__all__ = ["ForegroundPrior", "PriorInitHook", "foreground_prior"]
