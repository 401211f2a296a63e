"""Confusion and calibration of one evaluation, as files and as figures.

Error types in the manner of TIDE are not among them: its library has had no release
since 1.0.1, and the confusion matrix tells classes that are taken for one another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from imb_det.core.shown_text import write_text

from .confusion_files import write_confusion
from .functional.calibration import calibration
from .functional.confusion import confusion_matrix, group_confusion
from .functional.detections import Detections
from .functional.ground_truth import GroundTruth
from .functional.matches import Judgement
from .functional.tables import plain

__all__ = ["diagnose"]


def diagnose(
    ground_truth: GroundTruth,
    detections: Detections,
    judged: Judgement,
    groups: Mapping[str, np.ndarray],
    stem: Path | None,
    score_thr: float = 0.3,
) -> dict[str, float]:
    """Count confusions and measure calibration at an overlap of 0.5.

    Args:
        ground_truth: Images and objects.
        detections: All of them.
        judged: Verdicts on those that count, at an overlap of 0.5 among others.
        groups: Class indices by the name of the group.
        stem: Start of the path of the files that :func:`.write_confusion` writes, and
            of ``_diagnostics.json``; None to write none.
        score_thr: Least score of a detection. Default: 0.3.

    Returns:
        ``calibration_error``, and ``calibration_error_r`` and so on of the groups; NaN
        without a detection.
    """
    matrix = confusion_matrix(ground_truth, detections, judged, score_thr=score_thr)
    half = judged.column(0.5)
    parts = {
        name: calibration(judged.whole, members, score_thr=score_thr, threshold=half)
        for name, members in {"all": None, **groups}.items()
    }
    errors = {name: part.error for name, part in parts.items()}
    if stem is not None:
        stem.parent.mkdir(parents=True, exist_ok=True)
        write_confusion(stem, [*ground_truth.classes, "background"], matrix)
        content = {
            "score_thr": score_thr,
            "iou_thr": 0.5,
            "confusion_of_groups": group_confusion(matrix, groups),
            "calibration": {
                name: {
                    "error": plain(part.error),
                    "edges": part.edges.tolist(),
                    "count": part.count.tolist(),
                    "mean_score": [plain(v) for v in part.mean_score.tolist()],
                    "precision": [plain(v) for v in part.precision.tolist()],
                }
                for name, part in parts.items()
            },
        }
        path = stem.with_name(f"{stem.name}_diagnostics.json")
        write_text(path, json.dumps(content, indent=1) + "\n")
    keys = {"all": "calibration_error"}
    keys.update({name: f"calibration_error_{name[0]}" for name in groups})
    return {keys[name]: value for name, value in errors.items()}
