"""Calibrators, which put scores right after training, and detectors with them."""

from .calibrated_detector import CalibratedDetector
from .calibrators import Calibration
from .classifier_outputs import ClassifierOutput, classifier_outputs
from .expert_weights import ExpertWeights
from .fracal import FRACAL
from .logit_calibrator import LogitCalibrator
from .logn import LogN
from .prior_shift import NorCal, PostHocLogitAdjustment, PriorThreshold
from .score_calibrators import (
    ClassScoreThreshold,
    ScoreCalibrator,
    Temperature,
    VectorScaling,
)

__all__ = [
    "FRACAL",
    "CalibratedDetector",
    "Calibration",
    "ClassScoreThreshold",
    "ClassifierOutput",
    "ExpertWeights",
    "LogN",
    "LogitCalibrator",
    "NorCal",
    "PostHocLogitAdjustment",
    "PriorThreshold",
    "ScoreCalibrator",
    "Temperature",
    "VectorScaling",
    "classifier_outputs",
]
