"""Losses of the long-tail literature from their formulas, one logit at a time.

Rows are lists of float64 numbers. ``targets`` have one number a logit; a row of
background has zeros in sigmoid losses, and else a one at its output.
"""

import math

from .cross_entropy import log_sigmoid, log_softmax
from .quality import by_target, quality_focal


def adjusted_softmax(logits, targets, scale, offset, margin=None, weight=None):
    """Loss of each row: sum_k w_k y_k (-log softmax(s_k (z_k - m_k [y = k]) + o_k))."""
    rows = []
    for row, target in zip(logits, targets, strict=True):
        lower = margin or [0.0] * len(row)
        z = [
            s * (x - m * y) + o
            for x, s, o, m, y in zip(row, scale, offset, lower, target, strict=True)
        ]
        terms = zip(weight or [1.0] * len(row), target, log_softmax(z), strict=True)
        rows.append(sum(-w * y * log_p for w, y, log_p in terms))
    return rows


def alpha_of(nll, alpha):
    """Alpha loss by -log p: a / (a - 1) (1 - p^((a - 1) / a))."""
    power = (alpha - 1) / alpha
    return nll if power == 0 else (1 - math.exp(-nll * power)) / power


def alpha_softmax(logits, targets, alpha):
    """Loss of each row, the mean over classes of soft targets."""
    rows = []
    for row, target in zip(logits, targets, strict=True):
        terms = zip(target, log_softmax(row), strict=True)
        rows.append(sum(y * alpha_of(-log_p, alpha) for y, log_p in terms))
    return rows


def weighted_sigmoid(logits, targets, positive, negative, scale=1.0, offset=None):
    """Loss of each element: a (-y log p - (1 - y) log(1 - p)), b for a where y is 0.

    Args:
        positive: a, a row of numbers for all rows, or a function of row and target.
        negative: b, the same.
        scale: Of the logits.
        offset: Of the logits, a function of the target that returns a row.
    """
    elements = []
    for row, target in zip(logits, targets, strict=True):
        shift = offset(target) if offset else [0.0] * len(row)
        a = positive(row, target) if callable(positive) else positive
        b = negative(row, target) if callable(negative) else negative
        elements.append(
            [
                by_target(y, u, v) * quality_focal(scale * z + o, y, 0.0)
                for z, y, u, v, o in zip(row, target, a, b, shift, strict=True)
            ]
        )
    return elements


def asymmetric(logits, targets, gamma_neg, gamma_pos, margin, alpha=None):
    """Loss of each element: quality focal loss, negatives with a margin."""
    up, down = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)

    def of(z, y):
        if y > 0:
            return up * quality_focal(z, y, gamma_pos)
        p = max(math.exp(log_sigmoid(z)) - margin, 0.0)
        return -down * p**gamma_neg * math.log(1 - p)

    return [
        [of(z, y) for z, y in zip(row, target, strict=True)]
        for row, target in zip(logits, targets, strict=True)
    ]


def gumbel(z):
    """Losses of a positive and of a negative with p = exp(-exp(-z))."""
    inner = math.exp(-min(max(z, -4.0), 10.0))
    return inner, -math.log(-math.expm1(-inner))


def seesaw_row(row, label, counts, p, q, eps, frozen=None):
    """Loss of the classes of a row of a class (equations 3 to 7), by their logits.

    Probabilities have no gradient: they are those of the logits ``frozen``, if given.
    """
    score = [math.exp(x) for x in log_softmax(frozen or row)]
    total = 0.0
    for j, z in enumerate(row):
        factor = 1.0
        if j != label:
            n_i, n_j = max(counts[label], 1), max(counts[j], 1)
            factor *= min(1.0, n_j / n_i) ** p
            factor *= max(1.0, score[j] / max(score[label], eps)) ** q
        total += factor * math.exp(z)
    return math.log(total) - row[label]


def effective_margins(counts, bg_ratio):
    """Margin and weight of classes and background (ECM)."""
    everything = [*counts, bg_ratio * sum(counts)]
    total = sum(everything)
    margins = [0.25 * math.log(n / (total - n)) for n in everything]
    odds = [(total - n) / n for n in everything]
    return margins, [a * math.log((1 + a) / a) for a in odds]


def focal_elements(logits, targets, gammas, positive, negative):
    """Focal loss with an exponent, and factors, for each class."""
    return [
        [
            by_target(y, a, b) * quality_focal(z, y, g)
            for z, y, g, a, b in zip(
                row, target, gammas, positive, negative, strict=True
            )
        ]
        for row, target in zip(logits, targets, strict=True)
    ]


def focal_slopes(z, gamma):
    """Sizes of the derivatives of the focal loss of a positive and of a negative."""
    log_p, log_q = log_sigmoid(z), log_sigmoid(-z)
    p, q = math.exp(log_p), math.exp(log_q)
    return q**gamma * (q - gamma * p * log_p), p**gamma * (p - gamma * q * log_q)


def grouped_softmax_row(row, label, groups, factors):
    """Loss of a row: one softmax for each group of classes, and for objectness.

    Args:
        row: Classes, the "others" of each group, foreground, background.
        label: Class, or the number of classes for background.
        groups: Group of each class.
        factors: Of each group.
    """
    classes, is_object = len(groups), label < len(groups)
    total = -log_softmax(row[-2:])[0 if is_object else 1]
    for group, factor in enumerate(factors):
        members = [c for c in range(classes) if groups[c] == group]
        log_p = log_softmax([row[classes + group], *(row[c] for c in members)])
        place = 1 + members.index(label) if label in members else 0
        total -= factor * log_p[place]
    return total


def grouped_scores(row, groups):
    """Probabilities of classes and background."""
    classes, (fg, bg) = len(groups), (math.exp(x) for x in log_softmax(row[-2:]))
    scores = []
    for c, group in enumerate(groups):
        members = [k for k in range(classes) if groups[k] == group]
        log_p = log_softmax([row[classes + group], *(row[k] for k in members)])
        scores.append(fg * math.exp(log_p[1 + members.index(c)]))
    return [*scores, bg]


def others_factors(labels, groups, num_groups, beta, average):
    """Factor of "others" on average, and of all rows of a group, by group.

    Args:
        labels: Of the rows that count.
        groups: Group of each class.
        num_groups: How many groups there are.
        beta: Rows of "others" for each row of a class.
        average: ``'groups'`` or ``'rows'``.
    """
    found = []
    for group in range(num_groups):
        mine = sum(label < len(groups) and groups[label] == group for label in labels)
        others = len(labels) - mine
        share = min(1.0, beta * mine / others) if mine and others else 0.0
        taken = mine + share * others
        scale = len(labels) / max(taken, 1) if average == "groups" else 1.0
        found.append((share * scale, scale))
    return found
