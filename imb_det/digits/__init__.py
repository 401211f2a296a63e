"""The embedded data set: long-tailed scenes of handwritten digits, generated."""

from .longtail_digits import make_longtail_digits
from .manifest import find_longtail_digits, summary_table
from .plan import DigitsOptions

__all__ = [
    "DigitsOptions",
    "find_longtail_digits",
    "make_longtail_digits",
    "summary_table",
]
