"""Numbers of a data set and of a head; numpy and torch only, no mmdet import."""

from .class_stats import ClassStats
from .class_weights import class_weights
from .dataset_access import leaf_datasets
from .foreground_prior import ForegroundPrior, foreground_prior
from .frequency_groups import frequency_groups

__all__ = [
    "ClassStats",
    "ForegroundPrior",
    "class_weights",
    "foreground_prior",
    "frequency_groups",
    "leaf_datasets",
]
