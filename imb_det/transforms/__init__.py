"""Transforms that mix several images with rare classes in mind."""

from .mix_up import MixUp
from .mosaic import Mosaic
from .rare_copy_paste import RareCopyPaste

__all__ = ["MixUp", "Mosaic", "RareCopyPaste"]
