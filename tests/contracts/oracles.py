"""What every loss should return, from the slow references."""

from tests.references import cdb_loss, cross_entropy, focal, ghm, quality
from tests.references.reduction import flat, reduced, weighted


class Oracle:
    """A loss as a function from logits and targets to losses of rows or elements.

    Args:
        values: The function.
        loss_weight: Factor of everything.
        bg_weight: Factor of rows whose targets are all zero.
        of_rows: Whether losses of elements are added to those of rows.
    """

    def __init__(self, values, loss_weight=1.0, bg_weight=1.0, of_rows=False):
        self.values, self.loss_weight = values, loss_weight
        self.bg_weight, self.of_rows = bg_weight, of_rows

    def loss(self, logits, targets, weight=None, reduction="mean", avg_factor=None):
        """Loss of a call.

        Args:
            logits: Rows of numbers.
            targets: Rows of numbers; None for a row that is ignored.
            weight: One number a row, or rows like the logits.
            reduction: As mmdet's.
            avg_factor: As mmdet's.
        """
        known = [target or [0.0] * len(logits[0]) for target in targets]
        factors = [
            (self.bg_weight if target and not any(target) else 1.0)
            * (target is not None)
            for target in targets
        ]
        values = weighted(self.values(logits, known), factors)
        values = weighted(weighted(values, weight), [self.loss_weight] * len(values))
        if self.of_rows:
            values = [sum(row) for row in values]
        return reduced(values, reduction, avg_factor)

    def end_step(self):
        """Nothing to remember."""


def softmax_cross_entropy(class_weight, **rest):
    return Oracle(
        lambda logits, targets: cross_entropy.softmax_rows(
            logits, targets, class_weight
        ),
        **rest,
    )


def sigmoid_cross_entropy(class_weight, both_signs=False, **rest):
    return Oracle(
        lambda logits, targets: cross_entropy.sigmoid_elements(
            logits, targets, class_weight, both_signs
        ),
        **rest,
    )


def focal_loss(gamma, alpha, **rest):
    return Oracle(
        lambda logits, targets: focal.focal_elements(logits, targets, gamma, alpha),
        **rest,
    )


def quality_focal(beta, positive, negative, **rest):
    return Oracle(
        lambda logits, targets: quality.quality_elements(
            logits, targets, beta, positive, negative
        ),
        of_rows=True,
        **rest,
    )


def varifocal(gamma, alpha, positive, negative, weighted=True):
    return Oracle(
        lambda logits, targets: quality.varifocal_elements(
            logits, targets, gamma, alpha, positive, negative, weighted
        )
    )


def softmax_cdb(gamma, class_weight, **rest):
    return Oracle(
        lambda logits, targets: cdb_loss.softmax_rows(
            logits, targets, gamma, class_weight
        ),
        **rest,
    )


def sigmoid_cdb(gamma, class_weight, both_signs, **rest):
    return Oracle(
        lambda logits, targets: cdb_loss.sigmoid_elements(
            logits, targets, gamma, class_weight, both_signs
        ),
        **rest,
    )


class MaskOracle:
    """Mask loss: (N, C, h, w) logits, (N, h, w) masks and labels, as lists."""

    def __init__(self, class_weight, loss_weight=1.0):
        self.class_weight, self.loss_weight = class_weight, loss_weight

    def loss(self, logits, masks, labels, reduction="mean"):
        values = cross_entropy.mask_rows(logits, masks, labels, self.class_weight)
        return reduced([self.loss_weight * v for v in values], reduction)


class StepGHM:
    """GHM-C with the counts of the steps before; a bin counts as ``floor`` at least."""

    def __init__(self, bins, momentum, floor=10.0, loss_weight=1.0):
        self.average = ghm.StepAverage(bins, momentum)
        self.floor, self.loss_weight = floor, loss_weight
        self.pending = []

    def loss(
        self,
        logits,
        targets,
        weight=None,
        reduction="mean",
        avg_factor=None,
        learn=True,
    ):
        """As :meth:`Oracle.loss`; a call that learns adds to the counts."""
        rows = len(logits)
        weight = [1.0] * rows if weight is None else weight
        weight = [w if isinstance(w, list) else [w] * len(logits[0]) for w in weight]
        weight = [
            w if target is not None else [0.0] * len(w)
            for w, target in zip(weight, targets, strict=True)
        ]
        targets = [target or [0.0] * len(logits[0]) for target in targets]
        pairs = list(zip(flat(logits), flat(targets), strict=True))
        norms = [ghm.bce_gradient(z, y) for z, y in pairs]
        seen = [g for g, w in zip(norms, flat(weight), strict=True) if w > 0]
        beta, total = self.harmonise(norms, seen, weight)
        losses = [b * ghm.bce(z, y) for b, (z, y) in zip(beta, pairs, strict=True)]
        width = len(logits[0]) if logits else 1
        table = [losses[i * width : (i + 1) * width] for i in range(rows)]
        values = weighted(weighted(table, weight), [self.loss_weight] * rows)
        return reduced(values, reduction, total if reduction == "mean" else None)

    def harmonise(self, norms, seen, weight):
        """Weights of all elements, and N."""
        self.pending += seen
        beta = self.average.beta(norms, floor=self.floor)
        if self.average.steps:
            return beta, max(self.average.averages()[1], 1.0)
        return beta, max(len(seen), 1)

    def end_step(self):
        """Take what the calls counted into the average, unless that is nothing."""
        if self.pending:
            self.average.end_step(self.pending)
        self.pending = []


class PositivesGHM(StepGHM):
    """GHM-C as a mean over positives, which ``avg_factor`` is."""

    def __init__(self, bins, momentum, **rest):
        super().__init__(bins, momentum, **rest)
        self.average = ghm.PositiveAverage(bins, momentum)
        self.positives = 0.0

    def loss(
        self, logits, targets, weight=None, reduction="mean", avg_factor=None, **rest
    ):
        weights = [1.0] * len(logits) if weight is None else weight
        for target, row in zip(targets, weights, strict=True):
            for column, y in enumerate(target or []):
                w = row[column] if isinstance(row, list) else row
                self.positives += y if w > 0 else 0.0
        values = super().loss(logits, targets, weight, "none")
        return reduced(values, reduction, avg_factor)

    def harmonise(self, norms, seen, weight):
        self.pending += seen
        return self.average.beta(norms, floor=self.floor), None

    def end_step(self):
        if self.pending:
            self.average.end_step(self.pending, self.positives)
        self.pending, self.positives = [], 0.0


class CallGHM(StepGHM):
    """GHM-C with the counts of the call among them, as mmdet has it."""

    def __init__(self, bins, momentum, **rest):
        super().__init__(bins, momentum, **rest)
        self.average = ghm.CallAverage(bins, momentum)

    def harmonise(self, norms, seen, weight):
        total = max(len(seen), 1)
        # Elements that do not count get no weight; any stands for it.
        of_seen = iter(self.average.beta(seen, total))
        beta = [next(of_seen) if w > 0 else 0.0 for w in flat(weight)]
        return beta, total

    def end_step(self):
        """Calls did."""
