"""Focal loss, one logit at a time in float64."""

import math

from .cross_entropy import log_sigmoid


def focal_elements(logits, targets, gamma, alpha):
    """Loss of each element: y L+ + (1 - y) L-, with p = 1 / (1 + exp(-z)).

    L+ = -alpha_c (1 - p)^gamma log p and L- = -(1 - alpha_c) p^gamma log(1 - p).
    """
    elements = []
    for row, target in zip(logits, targets, strict=True):
        elements.append([])
        for z, y, a in zip(row, target, alpha, strict=True):
            log_p, log_q = log_sigmoid(z), log_sigmoid(-z)
            positive = -a * math.exp(gamma * log_q) * log_p
            negative = -(1 - a) * math.exp(gamma * log_p) * log_q
            elements[-1].append(y * positive + (1 - y) * negative)
    return elements
