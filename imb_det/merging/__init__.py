"""Detectors that are made of others: averages, ensembles, heads for other classes."""

from .backdoor_ensemble import BackdoorEnsemble
from .class_rows import ClassRows, class_rows, with_classes
from .rules import RULES, merge, ties, wise_ft
from .state_dicts import Parents

__all__ = [
    "RULES",
    "BackdoorEnsemble",
    "ClassRows",
    "Parents",
    "class_rows",
    "merge",
    "ties",
    "wise_ft",
    "with_classes",
]
