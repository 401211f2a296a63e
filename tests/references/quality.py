"""Losses of elements whose targets are qualities, one logit at a time in float64."""

import math

from .cross_entropy import log_sigmoid


def quality_focal(z, y, gamma):
    """|y - p|^gamma (-y log p - (1 - y) log(1 - p)), with p = 1 / (1 + exp(-z))."""
    log_p, log_q = log_sigmoid(z), log_sigmoid(-z)
    # y - p without a difference of numbers that are nearly 1.
    gap = abs((1 - y) - math.exp(log_q)) if z > 0 else abs(y - math.exp(log_p))
    modulation = 1.0 if gamma == 0 else gap**gamma
    return modulation * (-y * log_p - (1 - y) * log_q)


def by_target(y, positive, negative):
    """Factor of an element: that of a positive where its target is above 0."""
    return positive if y > 0 else negative


def quality_elements(logits, targets, gamma, positive, negative):
    """Quality focal loss of each element times the factor of its class."""
    return [
        [
            by_target(y, a, b) * quality_focal(z, y, gamma)
            for z, y, a, b in zip(row, target, positive, negative, strict=True)
        ]
        for row, target in zip(logits, targets, strict=True)
    ]


def varifocal_elements(logits, targets, gamma, alpha, positive, negative, weighted):
    """y w (-y log p - (1 - y) log(1 - p)) for y > 0, else alpha v p^gamma log(1 - p).

    Without ``weighted`` the first factor y is 1.
    """
    elements = []
    for row, target in zip(logits, targets, strict=True):
        elements.append([])
        for z, y, a, b in zip(row, target, positive, negative, strict=True):
            if y > 0:
                value = a * (y if weighted else 1.0) * quality_focal(z, y, 0.0)
            else:
                value = alpha * b * quality_focal(z, 0.0, gamma)
            elements[-1].append(value)
    return elements
