"""What a linear classifier makes of the features of true boxes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from imb_det.statistics import ClassStats
from imb_det.statistics.class_weights import class_weights

__all__ = ["Probed", "probe", "probe_table", "ranking_ap"]

#: Rules of class weights, by the name of the classifier.
_CLASSIFIERS = {
    "plain": None,
    "square root weights": "sqrt_inverse",
    "inverse weights": "inverse",
    "logit adjustment": None,
}


class Probed(NamedTuple):
    """What a classifier reaches on each class, NaN for classes without test boxes.

    Args:
        named_right: Share of boxes that get their class, float64 (C,).
        ranking_ap: Average precision of all boxes ranked by the class's score, (C,).
    """

    named_right: np.ndarray
    ranking_ap: np.ndarray


def probe(
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    stats: ClassStats,
    weight_decay: float = 0.01,
) -> Iterator[tuple[str, Probed]]:
    r"""Fit logistic regressions that differ in how they treat rare classes.

    .. math:: \min_{W, b} \frac{1}{n} \sum_i w_{y_i}
        \mathrm{CE}(W x_i + b + a, y_i) + \frac{\lambda}{2} \lVert W \rVert^2

    with :math:`w = 1`, weights of a rule, or :math:`a = \log \pi`, logit adjustment,
    and, for that, plain training with :math:`\log \pi` subtracted afterwards, which is
    the same but for classes without an example, as the bias is free to take it up.

    Args:
        train: Features and labels to fit to.
        test: Features and labels to judge by.
        stats: Counts of the training set.
        weight_decay: :math:`\lambda` > 0. Default: 0.01.

    Yields:
        Name of the classifier, and what it reaches.
    """
    (x, y), (z, t) = train, test
    mean, deviation = x.mean(0), x.std(0) + 1e-3
    x, z = (x - mean) / deviation, (z - mean) / deviation
    prior = torch.from_numpy(stats.class_prior.clip(1e-12)).log().float()
    # A class that was never seen is not to be named everywhere.
    seen = prior.where(torch.from_numpy(stats.class_prior > 0), prior.new_zeros(()))
    for name, rule in _CLASSIFIERS.items():
        weights, shift = torch.ones(stats.num_classes), torch.zeros(())
        if name == "logit adjustment":
            shift = prior
        elif rule is not None:
            weights = torch.from_numpy(class_weights(stats, rule)).float()
        logits = _fitted(x, y, weights, shift, weight_decay)(z)
        yield name, _judged(logits, t)
        if name == "plain":
            yield "plain, adjusted afterwards", _judged(logits - seen, t)


def _fitted(
    x: Tensor, y: Tensor, weights: Tensor, shift: Tensor, weight_decay: float
) -> nn.Linear:
    classifier = nn.Linear(x.shape[1], len(weights))
    nn.init.zeros_(classifier.weight)
    nn.init.zeros_(classifier.bias)
    optimizer = torch.optim.LBFGS(
        classifier.parameters(), max_iter=300, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        rows = cross_entropy(classifier(x) + shift, y, reduction="none")
        decay = classifier.weight.square().sum() / 2
        loss = (rows * weights[y]).mean() + weight_decay * decay
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return classifier.requires_grad_(False)


def _judged(logits: Tensor, labels: Tensor) -> Probed:
    right = (logits.argmax(1) == labels).numpy()
    scores, truth = logits.softmax(1).numpy(), labels.numpy()
    classes = range(logits.shape[1])
    with np.errstate(invalid="ignore"):
        named = [
            right[truth == c].mean() if (truth == c).any() else np.nan for c in classes
        ]
    return Probed(
        np.array(named),
        np.array([ranking_ap(scores[:, c], truth == c) for c in classes]),
    )


def ranking_ap(scores: np.ndarray, positive: np.ndarray) -> float:
    r"""Return the mean precision at the positives of a ranking; NaN without one.

    Args:
        scores: Of n examples, ties in the order given.
        positive: Bool (n,).
    """
    ranked = positive[np.argsort(-scores, kind="stable")]
    if not ranked.any():
        return float("nan")
    precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    return float(precision[ranked].mean())


def probe_table(stats: ClassStats, found: Iterable[tuple[str, Probed]]) -> str:
    """Write what classifiers reach on each group of classes, as Markdown.

    A group without test boxes has a dash.

    Args:
        stats: Counts of the training set, with the limits of groups.
        found: From :func:`probe`.
    """
    groups = stats.groups()
    titles = [f"{what}: {name}" for what in ("named right", "AP") for name in groups]
    lines = [["classifier", *titles], ["---"] * (len(titles) + 1)]
    for name, probed in found:
        parts = [of[rows] for of in probed for rows in groups.values()]
        known = [part[np.isfinite(part)] for part in parts]
        lines.append([name, *(f"{k.mean():.3f}" if len(k) else "-" for k in known)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
