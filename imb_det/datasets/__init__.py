"""Data sets that report what is wrong with their annotations, and image checks."""

from .coco_dataset import CocoDataset
from .odvg_dataset import ODVGDataset
from .voc_dataset import VOCDataset

__all__ = ["CocoDataset", "ODVGDataset", "VOCDataset"]
