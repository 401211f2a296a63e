"""Numbers of score calibrators, from detections that were judged on held-out images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, logit

from imb_det.core import check_number
from imb_det.evaluation.functional.matches import IGNORED, RIGHT, Matches

from .score_calibrators import SCORE_ENDS

__all__ = ["average_k_threshold", "fit_temperature", "fit_vector_scaling"]


def _odds_and_rights(matches: Matches) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return log-odds, rights as 0 and 1, and labels of what counts."""
    verdict = matches.verdict[:, 0]
    keep = verdict != IGNORED
    scores = np.clip(matches.score[keep].astype(float), *SCORE_ENDS)
    return logit(scores), (verdict[keep] == RIGHT).astype(float), matches.label[keep]


def _log_loss(odds: np.ndarray, rights: np.ndarray) -> np.ndarray:
    return np.asarray(np.logaddexp(0, odds) - rights * odds)


def fit_temperature(
    matches: Matches, groups: Sequence[np.ndarray] | None = None
) -> list[float]:
    r"""Return the temperatures with the least log loss of right and wrong detections.

    .. math:: T = \arg\min_T \sum_i \log(1 + e^{o_i / T}) - r_i\, o_i / T

    with the log-odds o of the scores and r = 1 for a detection that is right.

    Args:
        matches: Verdicts on the detections of D held-out images; the first overlap
            counts.
        groups: Class indices that share a temperature; None for one of all. Classes of
            no group, and groups without right and wrong detections, get that of all.
            Default None.

    Returns:
        C numbers > 0.

    Raises:
        ValueError: No detection is right, or none is wrong.
    """
    odds, rights, labels = _odds_and_rights(matches)
    if not 0 < rights.sum() < len(rights):
        raise ValueError(
            f"{int(rights.sum())} of {len(rights)} detections are right: a temperature "
            "needs right and wrong ones"
        )
    found = np.full(matches.num_classes, _temperature(odds, rights))
    for group in groups or ():
        own = np.isin(labels, group)
        if 0 < rights[own].sum() < own.sum():
            found[group] = _temperature(odds[own], rights[own])
    return [float(value) for value in found]


def _temperature(odds: np.ndarray, rights: np.ndarray) -> float:
    def loss(log_temperature: float) -> float:
        return float(_log_loss(odds / np.exp(log_temperature), rights).sum())

    return float(np.exp(minimize_scalar(loss, bounds=(-4, 4), method="bounded").x))


def fit_vector_scaling(
    matches: Matches, strength: float = 1.0
) -> tuple[list[float], list[float]]:
    r"""Return factor and summand of the log-odds of each class.

    .. math:: \min_{a, b} \sum_i \ell(a_{c_i} o_i + b_{c_i}, r_i) + \frac{s}{2} \sum_c
              \Big(\log^2 \frac{a_c}{a} + (b_c - b)^2\Big)

    where a and b fit all classes at once: a class with few detections stays near them.

    Args:
        matches: See :func:`fit_temperature`.
        strength: s, >= 0. Default 1.

    Returns:
        C numbers > 0, and C numbers.

    Raises:
        ValueError: As :func:`fit_temperature`.
    """
    check_number("fit_vector_scaling", "strength", strength, 0, None)
    odds, rights, labels = _odds_and_rights(matches)
    if not 0 < rights.sum() < len(rights):
        raise ValueError(
            f"{int(rights.sum())} of {len(rights)} detections are right: scaling needs "
            "right and wrong ones"
        )
    shared = _scaling(odds, rights, np.zeros(2), 0.0)
    scale, shift = [], []
    for label in range(matches.num_classes):
        own = labels == label
        log_a, b = _scaling(odds[own], rights[own], shared, strength)
        scale.append(float(np.exp(log_a)))
        shift.append(float(b))
    return scale, shift


def _scaling(
    odds: np.ndarray, rights: np.ndarray, centre: np.ndarray, strength: float
) -> np.ndarray:
    """Return log a and b."""

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        z = np.exp(x[0]) * odds + x[1]
        slope = expit(z) - rights
        away = x - centre
        value = _log_loss(z, rights).sum() + strength / 2 * away @ away
        slopes = np.array([slope @ (np.exp(x[0]) * odds), slope.sum()])
        return float(value), slopes + strength * away

    bounds = [(-4, 4), (-20, 20)]
    found = minimize(loss, centre, jac=True, method="L-BFGS-B", bounds=bounds)
    return np.asarray(found.x)


def average_k_threshold(scores: np.ndarray, num_images: int, average: float) -> float:
    """Return the threshold that keeps so many detections an image on average.

    It is the (K N)-th largest score: images with much to say keep more than others.

    Args:
        scores: Of all detections of N images, (D,).
        num_images: N, >= 1.
        average: K, > 0.

    Returns:
        In [0, 1]; 0 where there are no more detections than that.

    Raises:
        ValueError: Out of range.

    Source: Lorieul et al., "Classification Under Ambiguity: When Is Average-K Better
    Than Top-K?", 2021, with detections in place of classes.
    """
    check_number("average_k_threshold", "average", average, 0, None, open_ends=True)
    check_number("average_k_threshold", "num_images", num_images, 1, None)
    count = round(average * num_images)
    if count >= len(scores):
        return 0.0
    if count == 0:
        return 1.0
    return float(np.partition(scores, -count)[-count])
