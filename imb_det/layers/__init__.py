"""Layers of classifiers and of box regression."""

from .cab_linear import CABLinear
from .normed_predictor import NormedConv2d, NormedLinear
from .scaled_linear import DisAlignLinear, ScaledLinear

__all__ = [
    "CABLinear",
    "DisAlignLinear",
    "NormedConv2d",
    "NormedLinear",
    "ScaledLinear",
]
