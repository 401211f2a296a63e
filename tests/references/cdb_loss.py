"""The loss that class difficulty weights enter, one logit at a time in float64."""

import math

from .cross_entropy import log_sigmoid, log_softmax


def softmax_rows(logits, targets, gamma, class_weight):
    """Loss of each row: sum_k w_k y_k (1 - p_k)^gamma (-log p_k)."""
    rows = []
    for row, target in zip(logits, targets, strict=True):
        total = 0.0
        for w, y, log_p in zip(class_weight, target, log_softmax(row), strict=True):
            total -= w * y * (1 - math.exp(log_p)) ** gamma * log_p
        rows.append(total)
    return rows


def sigmoid_elements(logits, targets, gamma, class_weight, both_signs):
    """Loss of each element: w_c y L+ + v_c (1 - y) L-; v is w or 1.

    L+ = -(1 - p)^gamma log p and L- = -p^gamma log(1 - p).
    """
    elements = []
    for row, target in zip(logits, targets, strict=True):
        elements.append([])
        for z, y, w in zip(row, target, class_weight, strict=True):
            log_p, log_q = log_sigmoid(z), log_sigmoid(-z)
            positive = -math.exp(gamma * log_q) * log_p
            negative = -math.exp(gamma * log_p) * log_q
            v = w if both_signs else 1.0
            elements[-1].append(w * y * positive + v * (1 - y) * negative)
    return elements
