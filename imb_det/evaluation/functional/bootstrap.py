"""Intervals for AP, and for what one method is better than another, by resampling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from tqdm import tqdm

from .matches import Matches
from .resampled_precision import average_precision

__all__ = ["BootstrapResults", "average_figures", "bootstrap"]

#: Numbers that the largest array of a batch may hold.
_BATCH_CELLS = 4_000_000


@dataclass(frozen=True, eq=False)
class BootstrapResults:
    """Figures of M methods on a set, and on R resamples of it.

    Args:
        figures: Names, length F.
        estimate: Figures on the set itself, mean over the seeds, float64 (M, F), NaN
            where no class has an object.
        samples: Figures on the resamples, float64 (R, M, F).
        seeds: Figures on the set of each seed: for each method float64 (S, F).
    """

    figures: tuple[str, ...]
    estimate: np.ndarray
    samples: np.ndarray
    seeds: tuple[np.ndarray, ...]

    @property
    def differences(self) -> np.ndarray:
        """How much each method is above the first one, float64 (M, F)."""
        return self.estimate - self.estimate[:1]

    def intervals(self, confidence: float = 0.95) -> np.ndarray:
        """Interval of each figure, (M, F, 2).

        Args:
            confidence: Share of resamples between the ends, in (0, 1). Default: 0.95.
        """
        return _percentiles(self.samples, confidence)

    def difference_intervals(self, confidence: float = 0.95) -> np.ndarray:
        """Interval of each difference to the first method, (M, F, 2).

        Args:
            confidence: Share of resamples between the ends, in (0, 1). Default: 0.95.
        """
        return _percentiles(self.samples - self.samples[:, :1], confidence)

    def share_above(self) -> np.ndarray:
        """Share of resamples in which a method is above the first one, (M, F)."""
        difference = self.samples - self.samples[:, :1]
        known = np.isfinite(difference).sum(0)
        above = (difference > 0).sum(0)
        return np.divide(above, known, np.full(known.shape, np.nan), where=known > 0)


def bootstrap(
    methods: Sequence[Sequence[Matches]],
    groups: Mapping[str, np.ndarray] | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
    fixed_seeds: bool = False,
) -> BootstrapResults:
    r"""Resample the images of a test set, the same for all methods, and the seeds.

    .. math:: \Delta^*_b = \frac{1}{|S_b|} \sum_{s \in S_b} AP(M_s, w_b)
              - \frac{1}{|S'_b|} \sum_{s \in S'_b} AP(M'_s, w_b), \qquad
              w_b \sim \mathrm{Multinomial}(I; 1/I, \dots, 1/I)

    A figure of a resample is what the full evaluation gives on the set with image i
    held :math:`w_{bi}` times; of detections of one class with equal scores all copies
    of one come before those of the next. Predictions of seeds are never pooled.

    Of n >= 2 seeds of a method, n - 1 are drawn with replacement, apart for each
    method: their mean then varies by :math:`s^2/n`, where n draws would give too
    little, :math:`s^2(n-1)/n^2`. What a seed does on single images only is counted
    three times, so that intervals are too wide where seeds are equally good on the
    whole. One seed alone says nothing about other seeds.

    Args:
        methods: Verdicts of each seed of each method, all on one ground truth; the
            first overlap is 0.5. The first method is what the others are compared to.
        groups: Class indices by the name of the group. Default: None.
        resamples: Number of resamples R, >= 1. Default: 1000.
        seed: Of the random numbers, >= 0. Default: 0.
        fixed_seeds: Whether all seeds stay in each resample: the intervals are then
            for these trained models. Default: False.

    Returns:
        ``AP``, ``AP50`` and ``APr`` and so on for the groups, and where all verdicts
        have ``named``, ``top1``, ``top1_r`` and so on, as estimates and samples.

    Raises:
        ValueError: No method or no seed, fewer than one resample, or verdicts on
            different ground truths.

    Source:
        Efron and Tibshirani, An Introduction to the Bootstrap (1993); n - 1 draws of
        Rao and Wu, "Resampling Inference With Complex Survey Data" (1988); three
        counts of what acts together: Owen, "The Pigeonhole Bootstrap" (2007).
    """
    _check(methods, resamples)
    groups = groups or {}
    figures = ["AP", "AP50", *(f"AP{name[0]}" for name in groups)]
    if all(run.named is not None for runs in methods for run in runs):
        figures += ["top1", *(f"top1_{name[0]}" for name in groups)]
    by_seed = tuple(
        np.concatenate([_figures(run, None, groups, len(figures)) for run in runs])
        for runs in methods
    )
    # One stream for the images, and one for the seeds of each method, so that neither
    # other methods nor the size of a batch change what is drawn.
    of_images, *of_seeds = map(
        np.random.default_rng, np.random.SeedSequence(seed).spawn(1 + len(methods))
    )
    num_images = methods[0][0].num_images
    shares = np.full(num_images, 1 / num_images)
    samples = np.empty((resamples, len(methods), len(figures)))
    size = _batch_size(methods)
    with tqdm(total=resamples, desc="bootstrap", unit="resample", leave=False) as bar:
        for start in range(0, resamples, size):
            now = slice(start, min(start + size, resamples))
            count = now.stop - now.start
            weights = of_images.multinomial(num_images, shares, size=count)
            for m, runs in enumerate(methods):
                found = np.stack(
                    [_figures(run, weights, groups, len(figures)) for run in runs]
                )
                draws = _seed_draws(len(runs), count, fixed_seeds, of_seeds[m])
                samples[now, m] = np.einsum("bs,sbf->bf", draws, found)
            bar.update(count)
    estimate = np.stack([own.mean(0) for own in by_seed])
    return BootstrapResults(tuple(figures), estimate, samples, by_seed)


def _figures(
    run: Matches,
    weights: np.ndarray | None,
    groups: Mapping[str, np.ndarray],
    number: int,
) -> np.ndarray:
    """Return all figures of a run, or the first ones, on B sets, (B, number)."""
    figures = average_figures(average_precision(run, weights), groups)
    if number > figures.shape[1]:
        named = average_figures(_top1(run, weights)[:, :, None], groups)
        figures = np.hstack([figures, np.delete(named, 1, axis=1)])  # AP50 of it
    return figures


def _top1(run: Matches, weights: np.ndarray | None) -> np.ndarray:
    """Share of the objects of each class that are named right, (B, C)."""
    if weights is None:
        weights = np.ones((1, run.num_images), np.int64)
    ones = np.ones(len(run.object_label))
    shape = len(ones), run.num_classes
    of_class = csr_matrix((ones, (np.arange(len(ones)), run.object_label)), shape)
    copies = weights[:, run.object_image]
    total = copies @ of_class
    hits = (copies * run.named) @ of_class
    return np.divide(hits, total, np.full(total.shape, np.nan), where=total > 0)


def average_figures(
    precision: np.ndarray, groups: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Average over classes: AP, AP50, and AP of each group.

    Args:
        precision: Of each class, (B, C, T), NaN for a class without an object.
        groups: Class indices by the name of the group, G of them.

    Returns:
        Float64 (B, 2 + G), NaN where no class has an object.
    """
    ap = precision.mean(2)
    columns = [ap, precision[:, :, 0], *(ap[:, members] for members in groups.values())]
    return np.stack([_mean_of_known(values) for values in columns], axis=1)


def _mean_of_known(values: np.ndarray) -> np.ndarray:
    """Mean over the classes that are not NaN, (B,)."""
    known = np.isfinite(values)
    count = known.sum(1)
    total = np.where(known, values, 0).sum(1)
    return np.divide(total, count, np.full(len(values), np.nan), where=count > 0)


def _seed_draws(
    seeds: int, count: int, fixed: bool, rng: np.random.Generator
) -> np.ndarray:
    """Return the share of each seed in the mean of each resample, (count, seeds)."""
    if fixed or seeds == 1:
        return np.full((count, seeds), 1 / seeds)
    draws = rng.multinomial(seeds - 1, np.full(seeds, 1 / seeds), size=count)
    return draws / (seeds - 1)


def _percentiles(samples: np.ndarray, confidence: float) -> np.ndarray:
    """Cut the same share of samples at both ends; NaN where all are, (..., 2).

    Basic intervals mirror these at the estimate. AP of few images is biased, and in
    simulated pairs percentiles held the true figures more often, and the true
    differences as often.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` must be between 0 and 1, got {confidence}")
    tail = (1 - confidence) / 2
    columns = samples.reshape(len(samples), -1).T
    ends = np.full((len(columns), 2), np.nan)
    for column, values in enumerate(columns):
        known = values[np.isfinite(values)]
        if known.size:
            ends[column] = np.quantile(known, [tail, 1 - tail])
    return ends.reshape(*samples.shape[1:], 2)


def _batch_size(methods: Sequence[Sequence[Matches]]) -> int:
    """Return the number of resamples at once, so that the arrays stay small."""
    one = methods[0][0]
    cells = max(one.num_images, one.num_classes * one.verdict.shape[1])
    for runs in methods:
        for run in runs:
            cells = max(cells, int(np.bincount(run.label, minlength=1).max()))
            cells = max(cells, int(run.object_count.max(initial=0)))
            if run.named is not None:
                cells = max(cells, len(run.named))
    return max(_BATCH_CELLS // max(cells, 1), 1)


def _check(methods: Sequence[Sequence[Matches]], resamples: int) -> None:
    if resamples < 1:
        raise ValueError(f"`resamples` must be >= 1, got {resamples}")
    if not methods or not all(methods):
        raise ValueError("at least one method is needed, and of each at least one seed")
    first = methods[0][0]
    if not first.num_images:
        raise ValueError("the test set holds no image")
    for m, runs in enumerate(methods):
        for s, run in enumerate(runs):
            if not (
                run.num_images == first.num_images
                and run.num_classes == first.num_classes
                and run.verdict.shape[1] == first.verdict.shape[1]
                and np.array_equal(run.object_image, first.object_image)
                and np.array_equal(run.object_label, first.object_label)
            ):
                raise ValueError(
                    f"seed {s} of method {m} was judged on another ground truth than "
                    "the first run: all must have the same images and objects"
                )
