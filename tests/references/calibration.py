"""Calibrated probabilities of one row, from the formulas, in float64."""

import math


def softmax(logits, background):
    exponents = [math.exp(z) for z in (*logits, background)]
    return [e / sum(exponents) for e in exponents]


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def norcal_softmax(logits, background, counts, gamma):
    """NorCal: e^z over n^gamma, background as it is, last."""
    parts = [math.exp(z) / n**gamma for z, n in zip(logits, counts, strict=True)]
    parts.append(math.exp(background))
    return [part / sum(parts) for part in parts]


def norcal_sigmoid(logits, counts, gamma):
    return [sigmoid(z) / n**gamma for z, n in zip(logits, counts, strict=True)]


def adjusted_softmax(logits, background, counts, tau):
    """Logit adjustment with priors relative to equal ones."""
    total, classes = sum(counts), len(counts)
    shifted = [
        z - tau * math.log(classes * n / total)
        for z, n in zip(logits, counts, strict=True)
    ]
    return softmax(shifted, background)


def fracal_softmax(logits, background, shares, dimension, lambda_, base):
    """Frequency inside the softmax, places after it, and the sum made 1 again."""
    classes = len(logits)
    shifted = [
        z - math.log(f, base) - math.log(classes, base)
        for z, f in zip(logits, shares, strict=True)
    ]
    parts = softmax(shifted, background)
    divisors = [*(d**lambda_ for d in dimension), 1.0]
    parts = [p / d for p, d in zip(parts, divisors, strict=True)]
    return [p / sum(parts) for p in parts]


def fracal_sigmoid(logits, shares, dimension, lambda_, base):
    classes, found = len(logits), []
    powers = [d**lambda_ for d in dimension]
    for z, f, power in zip(logits, shares, powers, strict=True):
        places = -math.log10(power / sum(powers)) + math.log10(1 / classes)
        shift = -math.log(f, base) - math.log(classes, base) + places
        found.append(sigmoid(z) * sigmoid(z + shift))
    return found


def logn_softmax(logits, background, mean, std):
    least = min(mean)
    moved = [(z - (m - least)) / s for z, m, s in zip(logits, mean, std, strict=True)]
    return softmax(moved, background)


def box_counting(centres):
    """Slope of log occupied cells over log side, by the normal equations."""
    n = len(centres)
    if n < 4:
        return 1.0
    points = []
    side = 1
    while side <= 64 and side * side <= n:
        cells = {
            (min(int(x * side), side - 1), min(int(y * side), side - 1))
            for x, y in centres
        }
        points.append((math.log(side), math.log(len(cells))))
        side += 1
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    above = sum((x - mean_x) * (y - mean_y) for x, y in points)
    return max(above / sum((x - mean_x) ** 2 for x, _ in points), 1.0)
