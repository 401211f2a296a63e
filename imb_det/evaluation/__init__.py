"""Metrics; the functions below them are in :mod:`.functional`."""

from .coco_metric import CocoMetric
from .functional import (
    FederatedGroundTruth,
    GroundTruth,
    coco_ground_truth,
    evaluate_coco,
    evaluate_lvis,
)
from .lvis_metric import LVISMetric
from .offline import score_file
from .result_files import read_predictions
from .sem_seg_metric import SemSegMetric
from .voc_metric import VOCMetric

__all__ = [
    "CocoMetric",
    "FederatedGroundTruth",
    "GroundTruth",
    "LVISMetric",
    "SemSegMetric",
    "VOCMetric",
    "coco_ground_truth",
    "evaluate_coco",
    "evaluate_lvis",
    "read_predictions",
    "score_file",
]
