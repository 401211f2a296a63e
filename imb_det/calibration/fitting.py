"""From a method's name to the config of its calibrator, fitted on held-out images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imb_det.evaluation.functional.matches import Matches
from imb_det.statistics.class_counts import positive_counts
from imb_det.statistics.class_stats import ClassStats

from .expert_weights import fit_expert_weights
from .score_fitting import average_k_threshold, fit_temperature, fit_vector_scaling
from .threshold_fitting import OBJECTIVES, fit_thresholds

__all__ = ["METHODS", "Evidence", "Method"]


@dataclass(frozen=True)
class Evidence:
    """What a calibrator may be fitted to.

    Args:
        stats: Counts of the training set.
        judge: Returns the verdicts on the detections of the held-out images, with the
            calibrators that came before.
        scores: Returns the scores of all these detections, whether they can be judged
            or not, and the number of images.
        places: Returns the fractal dimension of each class.
        moments: Returns mean and standard deviation of the logits of each class.
        experts: Returns the rows of multi-expert heads, see :func:`fit_expert_weights`.
        value: Of the option that the method has; None for its default.
    """

    stats: ClassStats
    judge: Callable[[], Matches]
    scores: Callable[[], tuple[np.ndarray, int]]
    places: Callable[[], list[float]]
    moments: Callable[[], tuple[list[float], list[float]]]
    experts: Callable[[], list[tuple[Any, Any, Any]]]
    value: float | None = None

    def counts(self, by: str) -> list[float]:
        """Return counts of the training set, which a config can hold, at least 1."""
        counts = positive_counts("tools/calibrate.py", self.stats, by, min_count=1)
        return [float(n) for n in counts]

    def groups(self) -> list[np.ndarray]:
        """Return the class indices of the frequency groups."""
        return list(self.stats.groups().values())


@dataclass(frozen=True)
class Method:
    """A method of calibration.

    Args:
        fit: Returns the config of the calibrator.
        option: What ``--value`` and ``--values`` give; None for nothing.
        default: Of the option; None for one that must be given.
        values: To try, where AP tells a good one; none where it does not.
        keeps_ap: Whether AP of each class stays as it was by construction.
        of_logits: Whether it changes logits, and so comes before those of scores.
        ranks: Whether it may change the ranking inside of a class, also where classes
            are independent.
    """

    fit: Callable[[Evidence], dict[str, Any]]
    option: str | None = None
    default: float | None = None
    values: Sequence[float] = ()
    keeps_ap: bool = False
    of_logits: bool = False
    ranks: bool = False


def _shift(kind: str, by: str) -> Callable[[Evidence], dict[str, Any]]:
    def fit(evidence: Evidence) -> dict[str, Any]:
        option = {"PostHocLogitAdjustment": "tau", "NorCal": "gamma"}.get(kind)
        options = {} if option is None else {option: evidence.value}
        return dict(type=f"imb_det.{kind}", counts=evidence.counts(by), **options)

    return fit


def _fracal(evidence: Evidence) -> dict[str, Any]:
    shares = np.array(evidence.counts("images")) / evidence.stats.num_images
    return dict(
        type="imb_det.FRACAL",
        lambda_=evidence.value,
        dimension=evidence.places(),
        counts=shares.tolist(),
    )


def _logn(evidence: Evidence) -> dict[str, Any]:
    mean, std = evidence.moments()
    return dict(type="imb_det.LogN", mean=mean, std=std)


def _expert_weights(evidence: Evidence) -> dict[str, Any]:
    weights = fit_expert_weights(evidence.experts(), evidence.value or 0.0)
    print(f"weights of the experts: {[round(weight, 3) for weight in weights]}")
    return dict(type="imb_det.ExpertWeights", weights=weights)


def _temperature(evidence: Evidence) -> dict[str, Any]:
    (value, *_) = fit_temperature(evidence.judge())
    return dict(type="imb_det.Temperature", temperature=value)


def _group_temperature(evidence: Evidence) -> dict[str, Any]:
    values = fit_temperature(evidence.judge(), evidence.groups())
    return dict(type="imb_det.Temperature", temperature=values)


def _vector_scaling(evidence: Evidence) -> dict[str, Any]:
    scale, shift = fit_vector_scaling(evidence.judge())
    return dict(type="imb_det.VectorScaling", scale=scale, shift=shift)


def _average_k(evidence: Evidence) -> dict[str, Any]:
    if evidence.value is None:
        stats = evidence.stats
        objects = sum(stats.instance_count) / max(stats.num_images, 1)
        raise ValueError(
            "average_k needs `--value`, how many detections an image keeps on average; "
            f"training images have {objects:.2g} objects on average"
        )
    value = average_k_threshold(*evidence.scores(), evidence.value)
    return dict(type="imb_det.ClassScoreThreshold", score_thr=value)


def _thresholds(objective: str) -> Callable[[Evidence], dict[str, Any]]:
    def fit(evidence: Evidence) -> dict[str, Any]:
        values = fit_thresholds(evidence.judge(), objective, evidence.value)
        return dict(type="imb_det.ClassScoreThreshold", score_thr=values)

    return fit


_TARGETS = {"recall": 0.5, "precision": 0.5, "cost": 1.0, "f1": None}

#: By the name on the command line.
METHODS: Mapping[str, Method] = {
    "logit_adjustment": Method(
        _shift("PostHocLogitAdjustment", "instances"),
        "tau",
        1.0,
        (0.25, 0.5, 0.75, 1.0),
        of_logits=True,
    ),
    "prior_threshold": Method(_shift("PriorThreshold", "instances"), of_logits=True),
    "norcal": Method(
        _shift("NorCal", "images"),
        "gamma",
        0.5,
        (0.2, 0.4, 0.6, 0.8, 1.0),
        of_logits=True,
    ),
    "fracal": Method(_fracal, "lambda_", 2.0, (0.0, 1.0, 2.0), of_logits=True),
    "logn": Method(_logn, of_logits=True),
    "expert_weights": Method(
        _expert_weights, "balance", 0.0, of_logits=True, ranks=True
    ),
    "temperature": Method(_temperature, keeps_ap=True),
    "group_temperature": Method(_group_temperature, keeps_ap=True),
    "vector_scaling": Method(_vector_scaling, keeps_ap=True),
    "average_k": Method(_average_k, "detections an image"),
    **{
        f"threshold_{name}": Method(
            _thresholds(name), None if name == "f1" else "target", _TARGETS[name]
        )
        for name in OBJECTIVES
    },
}
