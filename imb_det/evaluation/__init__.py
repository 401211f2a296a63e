"""Metrics; the functions below them are in :mod:`.functional`."""

from .coco_metric import CocoMetric
from .functional import GroundTruth, coco_ground_truth, evaluate_coco

__all__ = ["CocoMetric", "GroundTruth", "coco_ground_truth", "evaluate_coco"]
