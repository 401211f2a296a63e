"""Layers of second stages, and edits of classifiers, one number at a time."""

import math


def dot(a, b):
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def scaled(x, weight, bias, scale):
    return [s * (dot(w, x) + b) for w, b, s in zip(weight, bias, scale, strict=True)]


def aligned(x, weight, bias, alpha, beta, gate, gate_bias):
    """The authors' form; outputs beyond those of alpha are background."""
    z = [dot(w, x) + b for w, b in zip(weight, bias, strict=True)]
    sigma = 1 / (1 + math.exp(-dot(gate, x) - gate_bias))
    known = zip(z, alpha, beta, strict=False)
    return [sigma * (a * v + b) + (1 - sigma) * v for v, a, b in known] + z[
        len(alpha) :
    ]


def blended(x, weight, bias, shared, shared_bias, alpha):
    """Regression with a share of weights that all classes have."""
    out = []
    for row, (w, b) in enumerate(zip(weight, bias, strict=True)):
        k = row % len(shared)
        mixed = [alpha * s + (1 - alpha) * v for s, v in zip(shared[k], w, strict=True)]
        out.append(dot(mixed, x) + alpha * shared_bias[k] + (1 - alpha) * b)
    return out
