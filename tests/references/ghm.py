"""Gradient harmonising, one element at a time in float64."""

import math

from .cross_entropy import log_sigmoid


def bce(logit, target):
    """Binary cross entropy of one logit."""
    return -target * log_sigmoid(logit) - (1 - target) * log_sigmoid(-logit)


def bce_gradient(logit, target):
    """Absolute derivative |p - y| of the binary cross entropy."""
    return abs(math.exp(log_sigmoid(logit)) - target)


def asl1(difference, mu):
    """Authentic smooth L1 loss sqrt(d^2 + mu^2) - mu of one box parameter."""
    return math.sqrt(difference**2 + mu**2) - mu


def asl1_gradient(difference, mu):
    """Absolute derivative |d| / sqrt(d^2 + mu^2), in [0, 1)."""
    return abs(difference) / math.sqrt(difference**2 + mu**2)


def bin_of(gradient, bins):
    """Index of the bin of width 1 / bins; the last one holds its upper edge too."""
    return min(int(gradient * bins), bins - 1)


def counts_of(gradients, bins):
    """Number of elements in each bin, R_j."""
    counts = [0.0] * bins
    for gradient in gradients:
        counts[bin_of(gradient, bins)] += 1
    return counts


def beta_of(gradients, counts, total, floor=0.0):
    """Weight of each element: N / (n max(S_j, floor)), n the bins with S_j > 0."""
    used = sum(count > 0 for count in counts)
    return [
        total / (used * max(counts[bin_of(gradient, len(counts))], floor))
        for gradient in gradients
    ]


class CallAverage:
    """Counts with an average over calls: S_j <- m S_j + (1 - m) R_j where R_j > 0.

    As the authors' code has it: empty bins keep their old value, n is the number of
    non-empty bins of the call, and without momentum S is R.
    """

    def __init__(self, bins, momentum):
        self.momentum = momentum
        self.counts = [0.0] * bins

    def beta(self, gradients, total):
        """Weights of the elements of a call, its own counts among S."""
        m, now = self.momentum, counts_of(gradients, len(self.counts))
        for j, count in enumerate(now):
            if count > 0:
                self.counts[j] = m * self.counts[j] + (1 - m) * count
        used = [s if count else 0.0 for s, count in zip(self.counts, now, strict=True)]
        return beta_of(gradients, used, total)


class StepAverage:
    """Bias-corrected averages over steps: S_t = (1 - m) sum_k m^(t-k) R_k / (1 - m^t).

    A step holds the counts of all calls of all ranks. Weights come from the steps
    before; elements have weight 1 in the first.
    """

    def __init__(self, bins, momentum):
        self.bins, self.momentum = bins, momentum
        self.steps = []

    def end_step(self, gradients):
        """Take the gradient norms of all elements of a step."""
        gradients = list(gradients)
        self.steps.append([*counts_of(gradients, self.bins), float(len(gradients))])

    def averages(self):
        """Averaged counts and averaged number of elements."""
        m, last = self.momentum, len(self.steps)
        shares = [(1 - m) * m ** (last - 1 - k) / (1 - m**last) for k in range(last)]
        columns = zip(*self.steps, strict=True)
        mean = [
            sum(s * x for s, x in zip(shares, c, strict=True) if s) for c in columns
        ]
        return mean[:-1], mean[-1]

    def beta(self, gradients, floor):
        """Weights of elements of the present step."""
        if not self.steps:
            return [1.0 for _ in gradients]
        counts, total = self.averages()
        return beta_of(gradients, counts, total, floor)


class PositiveAverage(StepAverage):
    """The same for a mean over positives: P / (n max(S_j, min(s, P / M))).

    P is averaged as the counts are. In the first step a weight is the middle of a bin.
    """

    def end_step(self, gradients, positives):
        """Take the gradient norms of all elements of a step, and its positives."""
        self.steps.append([*counts_of(list(gradients), self.bins), positives])

    def beta(self, gradients, floor):
        """Weights of elements of the present step."""
        if not self.steps:
            return [(bin_of(g, self.bins) + 0.5) / self.bins for g in gradients]
        counts, positives = self.averages()
        least = min(floor, positives / self.bins)
        return beta_of(gradients, counts, positives, least)
