"""What wrappers do to logits, targets and rows, one number at a time in float64."""

import math


def norm(row, p=2.0):
    """Norm of a row; p may be infinite."""
    if p == math.inf:
        return max(abs(z) for z in row)
    return sum(abs(z) ** p for z in row) ** (1 / p)


def clipped(row, tau, p=2.0):
    """Row times min(1, tau / norm)."""
    size = norm(row, p)
    return [z * tau / size for z in row] if size > tau else list(row)


def smoothing(counts, head, tail, shape):
    """Smoothing of each class by its count, as the authors of MiSLAS write it."""
    low, high = min(counts), max(counts)
    found = []
    for n in counts:
        angle = (n - low) * math.pi / (2 * (high - low))
        if shape == "concave":
            found.append(tail + (head - tail) * math.sin(angle))
        elif shape == "linear":
            found.append(tail + (head - tail) * (n - low) / (high - low))
        else:
            found.append(head + (head - tail) * math.sin(1.5 * math.pi + angle))
    return found


def smoothed(target, epsilon, over):
    """Target of a row, each class of which gives its part to the first ``over``."""
    spread = sum(y * e for y, e in zip(target, epsilon, strict=False)) / over
    epsilon = [*epsilon, *[0.0] * (len(target) - len(epsilon))]
    return [
        y * (1 - e) + spread * (k < over)
        for k, (y, e) in enumerate(zip(target, epsilon, strict=True))
    ]


class Normaliser:
    """u of ABSGD: (1 - gamma) u + gamma mean(exp(loss / lambda))."""

    def __init__(self, gamma):
        self.gamma, self.u = gamma, None

    def after(self, losses, lam):
        """u with one more step; the first one is taken as it is."""
        if not losses:
            return self.u
        mean = sum(math.exp(x / lam) for x in losses) / len(losses)
        if self.u is None:
            return mean
        return (1 - self.gamma) * self.u + self.gamma * mean


def penalty(h, multiplier, rho, form):
    """Penalty of the constraint h <= 0, and its derivative by h."""
    if form == "phr":
        y = multiplier + rho * h
        if y < 0:
            return -(multiplier**2) / (2 * rho), 0.0
        return (y**2 - multiplier**2) / (2 * rho), y
    if h < 0:
        return multiplier * h / (1 - rho * h), multiplier / (1 - rho * h) ** 2
    value = multiplier * h + multiplier * rho * h**2
    slope = multiplier + 2 * multiplier * rho * h
    if form == "p2":
        value += rho**2 * h**3 / 6
        slope += rho**2 * h**2 / 2
    return value, slope


def constraints(row, margin, normalize=True):
    """How far each logit is below the largest, beyond the margin."""
    far = [max(row) - z - margin for z in row]
    return [d / margin for d in far] if normalize else far
