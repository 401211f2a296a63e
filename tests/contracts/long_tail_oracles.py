"""What the losses of the long-tail literature should return, for three classes."""

import math

from tests.references import long_tail
from tests.references.cross_entropy import log_sigmoid, log_softmax
from tests.references.quality import by_target
from tests.references.reduction import EPS, flat

from .oracles import Oracle

CLASSES = 3
ONES = [1.0, 1.0, 1.0]


def is_object(target):
    """Whether a row has a class, wholly or in part."""
    return any(target[:CLASSES])


def adjusted(scale, offset, margin=None, weight=None):
    """Softmax of changed logits; one number a channel."""
    return Oracle(
        lambda logits, targets: long_tail.adjusted_softmax(
            logits, targets, scale, offset, margin, weight
        )
    )


def weighted(positive, negative, scale=1.0, offset=None):
    """Sigmoid with factors of positives and negatives."""
    return Oracle(
        lambda logits, targets: long_tail.weighted_sigmoid(
            logits, targets, positive, negative, scale, offset
        )
    )


def balanced_sigmoid(frequency, tau=1.0):
    """Shift of foreground rows by the logit of the frequency."""
    shift = [tau * math.log(f / (1 - f)) for f in frequency]
    zeros = [0.0] * len(shift)
    return weighted(
        ONES, ONES, offset=lambda target: shift if is_object(target) else zeros
    )


def equalized(is_rare):
    """Rare classes are no negatives of rows of an object."""
    return weighted(ONES, lambda row, target: _spared(is_rare, target))


def _spared(is_rare, target, keep=1.0):
    keep = 0.0 if is_object(target) else keep
    return [keep if rare else 1.0 for rare in is_rare]


def effective_margins(counts, bg_ratio):
    margin, weight = long_tail.effective_margins(counts, bg_ratio)
    return weighted(weight, weight, 2.0, lambda target: margin)


def alpha_softmax(alpha):
    return Oracle(
        lambda logits, targets: long_tail.alpha_softmax(logits, targets, alpha)
    )


def alpha_sigmoid(alphas):
    def values(logits, targets):
        return [
            [
                y * long_tail.alpha_of(-log_sigmoid(z), a)
                + (1 - y) * long_tail.alpha_of(-log_sigmoid(-z), a)
                for z, y, a in zip(row, target, alphas, strict=True)
            ]
            for row, target in zip(logits, targets, strict=True)
        ]

    return Oracle(values)


def asymmetric(*args, **kwargs):
    return Oracle(
        lambda logits, targets: long_tail.asymmetric(logits, targets, *args, **kwargs)
    )


def suppressed(score_thr, rates):
    """ACSL with the average of its draws."""

    def negative(row, target):
        if is_object(target):
            return [float(log_sigmoid(z) >= math.log(score_thr)) for z in row]
        return [*rates, 1.0]

    return weighted([1.0] * 4, negative)


class Remembering(Oracle):
    """An oracle that learns from the rows of a step; of those that count."""

    def __init__(self, **kwargs):
        super().__init__(self.rows_of, **kwargs)
        self.pending = []

    def loss(self, logits, targets, weight=None, reduction="mean", avg_factor=None):
        value = super().loss(logits, targets, weight, reduction, avg_factor)
        for i, (row, target) in enumerate(zip(logits, targets, strict=True)):
            factor = 1.0 if weight is None else weight[i]
            if target is not None and any(flat([factor])):
                self.pending.append((row, target, factor))
        return value

    def end_step(self):
        if self.pending:
            self.learn(self.pending)
        self.pending = []


class CountedRows(Remembering):
    """Logit adjustment by the rows so far."""

    def __init__(self, with_background, tau=1.0):
        super().__init__()
        self.counts, self.tau = [0] * 4, tau
        self.with_background = with_background

    def rows_of(self, logits, targets):
        counts = [max(count, 1) for count in self.counts]
        if self.with_background:
            prior = [count / sum(counts) for count in counts]
        else:
            prior = [*(count / sum(counts[:3]) for count in counts[:3]), 1.0]
        offset = [self.tau * math.log(p) for p in prior]
        return long_tail.adjusted_softmax(logits, targets, [1.0] * 4, offset)

    def learn(self, rows):
        for _, target, _ in rows:
            self.counts[target.index(1.0)] += 1


class Seesaw(Remembering):
    """Seesaw loss of the classes, and objectness."""

    def __init__(self, p=0.8, q=2.0, eps=1e-2, average="rows", call=False):
        super().__init__()
        self.p, self.q, self.eps, self.average = p, q, eps, average
        self.counts, self.call = [0] * CLASSES, call
        self.scores = None

    def frozen(self, logits):
        """The same with the probabilities of these logits, for differences."""
        self.scores = logits
        return self

    def loss(self, logits, targets, weight=None, reduction="mean", avg_factor=None):
        known = [
            target
            for i, target in enumerate(targets)
            if target is not None and (weight is None or weight[i])
        ]
        objects = sum(is_object(target) for target in known)
        self.share = 1.0
        if self.average == "positives":
            self.share = len(known) / max(objects, 1)
        self.now = list(self.counts)
        if self.call:
            seen = [target for _, target, _ in self.pending] + known
            for label, _ in enumerate(self.now):
                self.now[label] += sum(target[label] == 1 for target in seen)
        return super().loss(logits, targets, weight, reduction, avg_factor)

    def rows_of(self, logits, targets):
        rows = []
        for i, (row, target) in enumerate(zip(logits, targets, strict=True)):
            label = target.index(1.0) if any(target) else CLASSES
            value = -log_softmax(row[CLASSES:])[int(label == CLASSES)]
            if label < CLASSES:
                score = None if self.scores is None else self.scores[i][:CLASSES]
                value += self.share * long_tail.seesaw_row(
                    row[:CLASSES], label, self.now, self.p, self.q, self.eps, score
                )
            rows.append(value)
        return rows

    def learn(self, rows):
        for _, target, _ in rows:
            for label in range(CLASSES):
                self.counts[label] += target[label] == 1


class Dropped(Remembering):
    """DropLoss with the average of its draws, and mu of the steps before."""

    def __init__(self, is_rare, momentum=0.9):
        super().__init__()
        self.is_rare, self.momentum = is_rare, momentum
        self.sums = [0.0, 0.0]

    def negatives(self, target):
        keep = self.sums[1] / self.sums[0] if self.sums[0] else 1.0
        return _spared(self.is_rare, target, keep)

    def rows_of(self, logits, targets):
        return long_tail.weighted_sigmoid(
            logits, targets, ONES, lambda row, y: self.negatives(y)
        )

    def learn(self, rows):
        objects = [target for _, target, _ in rows if is_object(target)]
        rare = [t for t in objects if self.is_rare[t.index(1.0)]]
        if objects:
            self.sums = [
                self.momentum * old + (1 - self.momentum) * len(new)
                for old, new in zip(self.sums, (objects, rare), strict=True)
            ]


class EqualizedV2(Remembering):
    """EQLv2, with an output for background or without."""

    def __init__(self, gamma=12.0, mu=0.8, alpha=4.0, objectness=True):
        super().__init__()
        self.gamma, self.mu, self.alpha = gamma, mu, alpha
        self.rest = [1.0] * objectness
        self.sums = [[0.0] * CLASSES, [0.0] * CLASSES]

    def factors(self):
        negative = []
        for up, down in zip(*self.sums, strict=True):
            ratio = up / (down + 1e-10) if up + down else 100.0
            negative.append(1 / (1 + math.exp(-self.gamma * (ratio - self.mu))))
        positive = [1 + self.alpha * (1 - r) for r in negative]
        return positive + self.rest, negative + self.rest

    def rows_of(self, logits, targets):
        return long_tail.weighted_sigmoid(logits, targets, *self.factors())

    def learn(self, rows):
        factors = self.factors()
        for row, target, weight in rows:
            weight = weight if isinstance(weight, list) else [weight] * len(row)
            for c in range(CLASSES):
                sign = 0 if target[c] == 1 else 1
                size = math.exp(log_sigmoid(row[c] if sign else -row[c]))
                self.sums[sign][c] += factors[sign][c] * size * weight[c]


class EqualizedFocal(Remembering):
    """EFL; gradients have the factor of their call."""

    def __init__(self, gamma=2.0, alpha=0.25, scale=8.0, of_rows=False):
        super().__init__(of_rows=of_rows)
        self.gamma, self.scale = gamma, scale
        self.shares = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
        self.sums = [[0.0] * CLASSES, [0.0] * CLASSES]

    def loss(self, logits, targets, weight=None, reduction="mean", avg_factor=None):
        known = len(self.pending)
        value = super().loss(logits, targets, weight, reduction, avg_factor)
        size = len(logits) if self.of_rows else len(flat(logits))
        divisor = max(size, 1) if avg_factor is None else avg_factor
        for i in range(known, len(self.pending)):
            row, target, factor = self.pending[i]
            factor = factor if isinstance(factor, list) else [factor] * len(row)
            factor = [f / (divisor + EPS) for f in factor]
            self.pending[i] = (row, target, factor)
        return value

    def factors(self):
        ratios = [
            min(up / (down + 1e-10), 1.0) if up + down else 1.0
            for up, down in zip(*self.sums, strict=True)
        ]
        gammas = [self.gamma + self.scale * (1 - ratio) for ratio in ratios]
        up, down = self.shares
        positive = [up * g / self.gamma for g in gammas]
        negative = [down * g / self.gamma for g in gammas]
        return gammas, positive, negative

    def rows_of(self, logits, targets):
        return long_tail.focal_elements(logits, targets, *self.factors())

    def learn(self, rows):
        gammas, *factors = self.factors()
        for row, target, weight in rows:
            for c, z in enumerate(row):
                sign = 0 if target[c] == 1 else 1
                size = long_tail.focal_slopes(z, gammas[c])[sign]
                self.sums[sign][c] += factors[sign][c] * size * weight[c]


class Gumbel(Dropped):
    """Cross entropy of the Gumbel distribution, with the factors of DropLoss."""

    def __init__(self, is_rare=(0, 0, 0)):
        super().__init__(is_rare)

    def rows_of(self, logits, targets):
        return [
            [
                by_target(y, 1.0, w)
                * (y * long_tail.gumbel(z)[0] + (1 - y) * long_tail.gumbel(z)[1])
                for z, y, w in zip(row, target, self.negatives(target), strict=True)
            ]
            for row, target in zip(logits, targets, strict=True)
        ]


class Federated(Oracle):
    """Negatives are classes of the call and, while there are fewer than num, one."""

    def __init__(self, num, drawn, gamma=0.0, alpha=None):
        super().__init__(self.rows_of)
        self.num, self.drawn = num, drawn
        self.gammas = [gamma] * CLASSES
        self.up, self.down = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)

    def loss(self, logits, targets, weight=None, reduction="mean", avg_factor=None):
        self.present = set()
        for i, target in enumerate(targets):
            factor = 1.0 if weight is None else weight[i]
            factor = factor if isinstance(factor, list) else [factor] * CLASSES
            for c, y in enumerate(target or []):
                if y and any(factor):
                    self.present.add(c)
        if len(self.present) < self.num:
            self.present.add(self.drawn)
        return super().loss(logits, targets, weight, reduction, avg_factor)

    def rows_of(self, logits, targets):
        negative = [self.down * (c in self.present) for c in range(CLASSES)]
        return long_tail.focal_elements(
            logits, targets, self.gammas, [self.up] * CLASSES, negative
        )


class GroupedSoftmax(Oracle):
    """BAGS with the average of its draws."""

    def __init__(self, groups, num_groups, beta=8.0, average="groups"):
        super().__init__(self.rows_of)
        self.groups, self.num_groups = groups, num_groups
        self.beta, self.average = beta, average

    def loss(self, logits, targets, weight=None, reduction="mean", avg_factor=None):
        labels = [
            _label(target)
            for i, target in enumerate(targets)
            if target is not None and (weight is None or weight[i])
        ]
        self.factors = long_tail.others_factors(
            labels, self.groups, self.num_groups, self.beta, self.average
        )
        return super().loss(logits, targets, weight, reduction, avg_factor)

    def rows_of(self, logits, targets):
        rows = []
        for row, target in zip(logits, targets, strict=True):
            label = _label(target)
            own = self.groups[label] if label < CLASSES else None
            factors = [pair[g == own] for g, pair in enumerate(self.factors)]
            rows.append(long_tail.grouped_softmax_row(row, label, self.groups, factors))
        return rows


def _label(target):
    return target.index(1.0) if any(target) else CLASSES


class Equilibrium(Remembering):
    """EBL: mean scores, one row after the other."""

    def __init__(self, momentum=0.9, start=0.01, background=0.01):
        super().__init__()
        self.momentum, self.background = momentum, background
        self.scores = [start] * CLASSES

    def rows_of(self, logits, targets):
        offset = [math.log(s) for s in (*self.scores, self.background)]
        return long_tail.adjusted_softmax(logits, targets, [1.0] * 4, offset)

    def learn(self, rows):
        for label in range(CLASSES):
            found = [
                math.exp(log_softmax(row)[label])
                for row, target, _ in rows
                if target[label] == 1
            ]
            for _ in found:
                mean = sum(found) / len(found)
                self.scores[label] *= self.momentum
                self.scores[label] += (1 - self.momentum) * mean


class Fading:
    """Two losses in their shares.

    Args:
        share: Of the second.
    """

    def __init__(self, first, second, share):
        self.parts = ((1 - share, first), (share, second))

    def loss(self, *args, **kwargs):
        pairs = [(s, oracle.loss(*args, **kwargs)) for s, oracle in self.parts]
        return _combined(pairs)

    def end_step(self):
        for _, oracle in self.parts:
            oracle.end_step()


def _combined(pairs):
    (a, first), (b, second) = pairs
    if not isinstance(first, list):
        return a * first + b * second
    return [_combined(((a, x), (b, y))) for x, y in zip(first, second, strict=True)]
