"""Image weights that bring the classes towards a level of balance."""

from __future__ import annotations

import math

import numpy as np
import scipy.sparse
from scipy.optimize import minimize

from .label_table import LabelTable

__all__ = ["balance_level", "level_targets", "level_weights"]

_LEAST = 1e-3  # weight of an image that undersampling leaves out as good as always
_STIFFNESS = 1e-4  # how much a change of the images costs, against a miss of a class
_MAX_STEPS = 200


def balance_level(counts: np.ndarray, original: np.ndarray) -> float:
    r"""Return how balanced classes are, between their original state (0) and fully (1).

    .. math:: 1 - \frac{\log(\max_c a_c / \min_c a_c)}{\log(\max_c n_c / \min_c n_c)}

    for the counts :math:`a_c` and the original ones :math:`n_c`, over the classes that
    occur. Below 0 they are less balanced than before.

    Args:
        counts: Expected boxes of each class in an epoch, (C,).
        original: Boxes of each class in the set, (C,).

    Returns:
        The level; 1 where the original counts are equal or there are none.

    Example:
        >>> balance_level(np.array([100, 10]), np.array([100, 1]))
        0.5
    """
    occurs = original > 0
    if not occurs.any() or np.ptp(original[occurs]) == 0:
        return 1.0
    logs = [np.log(np.maximum(n[occurs], _LEAST)) for n in (counts, original)]
    return 1.0 - float(np.ptp(logs[0]) / np.ptp(logs[1]))


def level_targets(original: np.ndarray, level: float, oversample: bool) -> np.ndarray:
    r"""Return the boxes that each class is to have in an epoch.

    .. math:: t_c = n_c^{1 - L} n_{\max}^L \quad\text{(oversampling)}, \qquad
              t_c = n_c^{1 - L} n_{\min}^L \quad\text{(undersampling)}

    Args:
        original: Boxes of each class, (C,).
        level: L, 0 (as is) to 1 (all alike).
        oversample: Whether rare classes come up, else frequent ones go down.

    Returns:
        Float64 (C,); 0 for a class without a box.
    """
    targets = np.zeros(len(original))
    occurs = original > 0
    if occurs.any():
        counts = original[occurs].astype(float)
        end = counts.max() if oversample else counts.min()
        targets[occurs] = counts ** (1 - level) * end**level
    return targets


def level_weights(
    table: LabelTable,
    level: float,
    oversample: bool = True,
    max_repeat: float = 10.0,
) -> np.ndarray:
    r"""Return image weights with which the classes come nearest to a level.

    An image shows all its classes at once, so that the targets :math:`t_c` of
    :func:`level_targets` are out of reach as a rule. The weights minimise

    .. math:: \sum_c \left(m_c - \frac{1}{C} \sum_k m_k\right)^2
              + \epsilon\, \frac{C}{n} \sum_i (\log r_i)^2, \qquad
              m_c = \log \frac{\sum_i r_i n_{ic}}{t_c}

    with :math:`1 \le r_i \le r_{\max}` in oversampling, and :math:`0.001 \le r_i \le 1`
    in undersampling, for the :math:`n_{ic}` boxes of class c in image i. The mean
    is taken off because a common factor changes the length of the epoch and not the
    balance: without that, targets out of reach would raise all images to the limit. The
    second term, with a small :math:`\epsilon`, leaves images alone that make no
    difference, and makes the common factor 1 where classes do not share images.

    Args:
        table: Classes of each image, n images.
        level: 0 (as is) to 1 (all classes alike).
        oversample: Whether rare classes come up, else frequent ones go down.
            Default: True.
        max_repeat: Largest weight in oversampling, >= 1. Default: 10.

    Returns:
        Float64 (n,); 1 for an image without a box.

    Source: the levels and their targets are those of Buda, Maki, Mazurowski, "A
    systematic study of the class imbalance problem in convolutional neural networks",
    Neural Networks 2018, where an image has one class. The fit is our own.
    """
    original = table.instances_of()
    occurs = np.flatnonzero(original)
    has_box = np.flatnonzero(np.diff(table.offsets))
    weights = np.ones(len(table))
    if level == 0 or occurs.size == 0:
        return weights
    counts = scipy.sparse.csr_matrix(
        (np.ones(len(table.labels)), table.labels, table.offsets),
        shape=(len(table), len(table.classes)),
    )[has_box][:, occurs]
    wanted = np.log(level_targets(original, level, oversample)[occurs])
    low, high = (0.0, math.log(max_repeat)) if oversample else (math.log(_LEAST), 0.0)
    found = minimize(
        _cost,
        np.zeros(has_box.size),
        args=(counts, counts.T.tocsr(), wanted),
        jac=True,
        method="L-BFGS-B",
        bounds=scipy.optimize.Bounds(low, high),
        options=dict(maxiter=_MAX_STEPS, maxfun=2 * _MAX_STEPS, ftol=1e-9, gtol=1e-8),
    )
    weights[has_box] = np.exp(found.x)
    return weights


def _cost(
    log_weights: np.ndarray,
    counts: scipy.sparse.csr_matrix,
    transposed: scipy.sparse.csr_matrix,
    wanted: np.ndarray,
) -> tuple[float, np.ndarray]:
    """Return what :func:`level_weights` minimises, and its gradient.

    Args:
        log_weights: Of the n images with a box, (n,).
        counts: Boxes of each image and class, (n, C).
        transposed: The same, (C, n).
        wanted: Logarithms of the targets, (C,).
    """
    num_images, num_classes = counts.shape
    stiffness = _STIFFNESS * num_classes / num_images
    factor = np.exp(log_weights)
    reached = transposed @ factor
    miss = np.log(reached) - wanted
    miss -= miss.mean()  # no term of the slope: the misses have the sum 0
    slope = 2 * factor * (counts @ (miss / reached)) + 2 * stiffness * log_weights
    return float(miss @ miss + stiffness * (log_weights @ log_weights)), slope
