"""Evaluation without a runner: arrays in, figures out."""

from .coco_eval import CocoResults, evaluate_coco
from .detections import coco_detections, predictions_from_samples
from .ground_truth import GroundTruth, coco_ground_truth
from .tables import class_rows, format_number, text_table

__all__ = [
    "CocoResults",
    "GroundTruth",
    "class_rows",
    "coco_detections",
    "coco_ground_truth",
    "evaluate_coco",
    "format_number",
    "predictions_from_samples",
    "text_table",
]
