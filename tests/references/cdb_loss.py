"""The loss that class difficulty weights enter, one logit at a time in float64."""

import math

from .cross_entropy import log_softmax
from .quality import quality_elements


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
    """Loss of each element: w_c |y - p|^gamma (-y log p - (1 - y) log(1 - p)).

    Where y is 0, w is 1 unless ``both_signs``.
    """
    negative = class_weight if both_signs else [1.0] * len(class_weight)
    return quality_elements(logits, targets, gamma, class_weight, negative)
