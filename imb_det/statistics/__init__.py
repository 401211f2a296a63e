"""Numbers of a data set; numpy and torch only, no mmdet import."""

from .class_stats import ClassStats
from .class_weights import class_weights
from .dataset_access import leaf_datasets
from .frequency_groups import GroupLimits, frequency_groups
from .label_cache import label_table
from .label_table import LabelTable
from .repeat_factors import repeat_factors

__all__ = [
    "ClassStats",
    "GroupLimits",
    "LabelTable",
    "class_weights",
    "frequency_groups",
    "label_table",
    "leaf_datasets",
    "repeat_factors",
]
