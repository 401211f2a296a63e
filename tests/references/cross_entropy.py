"""Cross entropy of softmax and sigmoid scores, one logit at a time in float64."""

import math


def log_sigmoid(logit):
    """Logarithm of 1 / (1 + exp(-z)), for every z."""
    if logit >= 0:
        return -math.log1p(math.exp(-logit))
    return logit - math.log1p(math.exp(logit))


def log_softmax(row):
    """Logarithm of exp(z_k) / sum_j exp(z_j) for every k of a row."""
    top = max(row)
    total = top + math.log(sum(math.exp(logit - top) for logit in row))
    return [logit - total for logit in row]


def one_hot(label, width):
    """Target row of a whole-number label; a label past the last column has no one."""
    return [1.0 if column == label else 0.0 for column in range(width)]


def softmax_rows(logits, targets, class_weight):
    """Loss of each row: sum_k w_k y_k (-log p_k).

    Targets and weights have one entry a logit, the last one for the background.
    """
    rows = []
    for row, target in zip(logits, targets, strict=True):
        terms = zip(class_weight, target, log_softmax(row), strict=True)
        rows.append(sum(-w * y * log_p for w, y, log_p in terms))
    return rows


def sigmoid_elements(logits, targets, class_weight, both_signs):
    """Loss of each element: w_c (-y log p - (1 - y) log(1 - p)).

    Where y is 0, w is 1 unless ``both_signs``.
    """
    elements = []
    for row, target in zip(logits, targets, strict=True):
        elements.append([])
        for z, y, w in zip(row, target, class_weight, strict=True):
            factor = w if y > 0 or both_signs else 1.0
            value = -y * log_sigmoid(z) - (1 - y) * log_sigmoid(-z)
            elements[-1].append(factor * value)
    return elements


def mask_rows(logits, masks, labels, class_weight):
    """Loss of each RoI: w[label] times the mean BCE over the pixels of its class.

    Logits are (N, C, h, w), masks (N, h, w) in [0, 1], labels (N,).
    """
    rows = []
    for per_class, mask, label in zip(logits, masks, labels, strict=True):
        pixels = []
        for logit_row, mask_row in zip(per_class[label], mask, strict=True):
            for z, y in zip(logit_row, mask_row, strict=True):
                pixels.append(-y * log_sigmoid(z) - (1 - y) * log_sigmoid(-z))
        rows.append(class_weight[label] * sum(pixels) / len(pixels))
    return rows
