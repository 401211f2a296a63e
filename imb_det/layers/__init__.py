"""Layers of classifiers."""

from .normed_predictor import NormedConv2d, NormedLinear

__all__ = ["NormedConv2d", "NormedLinear"]
