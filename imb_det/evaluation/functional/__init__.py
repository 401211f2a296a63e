"""Evaluation without a runner: arrays in, figures out."""

from .coco_eval import evaluate_coco
from .detections import Detections
from .federated import FederatedGroundTruth
from .ground_truth import GroundTruth, coco_ground_truth
from .lvis_eval import evaluate_lvis
from .prediction_arrays import predictions_from_samples
from .results import EvalResults
from .tables import class_rows, format_number, text_table

__all__ = [
    "Detections",
    "EvalResults",
    "FederatedGroundTruth",
    "GroundTruth",
    "class_rows",
    "coco_ground_truth",
    "evaluate_coco",
    "evaluate_lvis",
    "format_number",
    "predictions_from_samples",
    "text_table",
]
