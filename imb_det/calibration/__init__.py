"""Scores that are put right after training: calibrators, and detectors that have them."""

from .calibrated_detector import CalibratedDetector
from .calibrators import Calibration
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
    "LogN",
    "LogitCalibrator",
    "NorCal",
    "PostHocLogitAdjustment",
    "PriorThreshold",
    "ScoreCalibrator",
    "Temperature",
    "VectorScaling",
]
