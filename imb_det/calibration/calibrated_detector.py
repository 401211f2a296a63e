"""Any detector of mmdet, with calibrators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from imb_det.registry import MODELS

from .calibrators import Calibration

__all__ = ["CalibratedDetector"]


@MODELS.register_module()
class CalibratedDetector:
    """Detector that predicts with calibrators.

    It is the detector itself, an instance of its own class, with one module more,
    ``calibration``: paths of the config, parts, and names in checkpoints stay as they
    are. It trains as without calibrators, and predicts with them wherever it does:
    ``tools/test.py``, ``inference_detector``, ``DetInferencer``.

    Args:
        detector: Type of the detector, such as ``'FasterRCNN'``.
        calibrators: Configs of calibrators, in the order in which they are applied:
            those of logits (:class:`PostHocLogitAdjustment`, :class:`NorCal`,
            :class:`FRACAL`, :class:`LogN`), then those of scores (:class:`Temperature`,
            :class:`VectorScaling`, :class:`ClassScoreThreshold`).
        **config: All else that the detector has in the config.

    Returns:
        The detector.

    Raises:
        TypeError, ValueError: No such calibrator, or a detector whose classifiers are
            not known.

    Example:
        >>> _base_ = "./faster-rcnn_r50_fpn_1x_coco.py"
        >>> model = dict(
        ...     type="imb_det.CalibratedDetector",
        ...     detector="FasterRCNN",
        ...     calibrators=[dict(type="imb_det.NorCal", gamma=0.6)],
        ... )
    """

    def __new__(  # noqa: D102
        cls,
        detector: str,
        calibrators: Sequence[Mapping[str, Any] | nn.Module],
        **config: Any,
    ) -> Any:
        model = MODELS.build(dict(config, type=detector))
        Calibration(calibrators).attach(model)
        return model
