"""Calibrators of the scores of finished detections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from imb_det.registry import MODELS
from imb_det.statistics.class_vector import ClassVector

__all__ = ["ClassScoreThreshold", "ScoreCalibrator", "Temperature", "VectorScaling"]

#: Between them the log-odds of scores are finite, and of all of float32 different.
SCORE_ENDS = 1e-30, 1 - 2.0**-25

Numbers = float | Sequence[float] | Mapping[str, float]


class ScoreCalibrator(nn.Module):
    """Change of the scores of detections after they were ranked and suppressed.

    Attributes:
        keeps_ap: Whether AP of each class stays as it was, since the ranking inside a
            class does.
    """

    keeps_ap = True

    def forward(
        self, scores: Tensor, labels: Tensor, num_classes: int
    ) -> tuple[Tensor, Tensor | None]:
        """Return the scores, (n,), and which detections stay, bool (n,), None for all.

        Args:
            scores: In [0, 1], (n,).
            labels: Classes, int (n,).
            num_classes: C.
        """
        raise NotImplementedError


@MODELS.register_module()
class VectorScaling(ScoreCalibrator):
    r"""Scores whose log-odds are scaled and shifted by class.

    .. math:: s' = \sigma\big(a_c\, \mathrm{logit}(s) + b_c\big)

    The ranking of the detections of a class, and so its AP, stays as it was; scores
    become comparable between classes, for thresholds and for people.

    Args:
        scale: a, > 0: one number for all, or C, as a list or by class name. Default 1.
        shift: b: one number for all, or C. Default 0.

    Raises:
        TypeError, ValueError: An argument out of range, or numbers that do not fit the
            classes.

    Example:
        >>> calibrator = VectorScaling(scale=[1.0, 2.0])
        >>> scores, labels = torch.tensor([0.8, 0.8]), torch.tensor([0, 1])
        >>> calibrator(scores, labels, 2)[0]
        tensor([0.8000, 0.9412])

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, for
    detections: Küppers et al., "Multivariate Confidence Calibration for Object
    Detection", CVPR Workshops 2020, with the score alone.
    """

    def __init__(self, scale: Numbers = 1.0, shift: Numbers = 0.0) -> None:
        super().__init__()
        name = type(self).__name__
        self.scale = _vector(name, "scale", scale, open_ends=True)
        self.shift = _vector(
            name, "shift", shift, default=0.0, low=float("-inf"), open_ends=True
        )

    def forward(
        self, scores: Tensor, labels: Tensor, num_classes: int
    ) -> tuple[Tensor, None]:
        """Return the scores; all detections stay."""
        scale, shift = (
            _of_rows(vector, labels, num_classes, scores)
            for vector in (self.scale, self.shift)
        )
        made = torch.sigmoid(_log_odds(scores) * scale + shift)
        return made.to(scores.dtype), None


@MODELS.register_module()
class Temperature(ScoreCalibrator):
    r"""Scores whose log-odds are divided by a temperature, :math:`\mathrm{logit}(s)/T`.

    Args:
        temperature: T, > 0: one number for all, or C, such as one for each group of
            classes. Default 1.

    Example:
        >>> scores, labels = torch.tensor([0.8, 0.5]), torch.tensor([0, 1])
        >>> Temperature(2.0)(scores, labels, 2)[0]
        tensor([0.6667, 0.5000])

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """

    def __init__(self, temperature: Numbers = 1.0) -> None:
        super().__init__()
        name = type(self).__name__
        self.temperature = _vector(name, "temperature", temperature, open_ends=True)

    def forward(
        self, scores: Tensor, labels: Tensor, num_classes: int
    ) -> tuple[Tensor, None]:
        """Return the scores; all detections stay."""
        temperature = _of_rows(self.temperature, labels, num_classes, scores)
        made = torch.sigmoid(_log_odds(scores) / temperature)
        return made.to(scores.dtype), None


@MODELS.register_module()
class ClassScoreThreshold(ScoreCalibrator):
    r"""Least scores by class: a detection stays where :math:`s \ge t_c`.

    Args:
        score_thr: t, in [0, 1]: one number for all, or C, as a list or by class name
            (0 for classes that are not named).

    Raises:
        TypeError, ValueError: An argument out of range, or numbers that do not fit the
            classes.

    Example:
        >>> scores, labels = torch.tensor([0.3, 0.3]), torch.tensor([0, 1])
        >>> ClassScoreThreshold([0.2, 0.5])(scores, labels, 2)[1]
        tensor([ True, False])
    """

    keeps_ap = False

    def __init__(self, score_thr: Numbers) -> None:
        super().__init__()
        self.score_thr = _vector(
            type(self).__name__, "score_thr", score_thr, default=0.0, high=1
        )

    def forward(
        self, scores: Tensor, labels: Tensor, num_classes: int
    ) -> tuple[Tensor, Tensor]:
        """Return the scores as they are, and which detections stay."""
        least = _of_rows(self.score_thr, labels, num_classes, scores)
        return scores, scores >= least


def _log_odds(scores: Tensor) -> Tensor:
    """Return the log-odds of scores, float64 and finite at 0 and 1.

    In less precision small scores, and scores next to 1, would become equal.
    """
    return torch.logit(scores.double().clamp(*SCORE_ENDS))


def _vector(owner: str, name: str, numbers: Any, **options: Any) -> ClassVector:
    """Return numbers of the classes, which there must be."""
    if numbers is None:
        raise TypeError(
            f"{owner}: `{name}` must be a number, a list or a dict by class name, got "
            "None"
        )
    return ClassVector(owner, name, numbers, **options)


def _of_rows(
    vector: ClassVector, labels: Tensor, num_classes: int, like: Tensor
) -> Tensor:
    numbers = vector(num_classes, like)
    if numbers is None:
        raise RuntimeError(f"{vector.owner}: `{vector.name}` has no numbers")
    # CrowdDet's labels are no whole numbers.
    return numbers[labels.long()] if numbers.dim() else numbers
