"""Splits of a data set in which every class has its share of every part."""

from .grouping import joined_groups, name_keys
from .near_duplicates import near_duplicates
from .parts import Parts
from .problem import SplitProblem
from .report import SplitReport
from .session import SplitOptions, split_dataset
from .stratification import stratify

__all__ = [
    "Parts",
    "SplitOptions",
    "SplitProblem",
    "SplitReport",
    "joined_groups",
    "name_keys",
    "near_duplicates",
    "split_dataset",
    "stratify",
]
