"""Weights of classes from their counts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from imb_det.core import check_choice, check_number, is_number

from .class_counts import COUNTED
from .class_stats import ClassStats

__all__ = [
    "NORMALISATIONS",
    "WEIGHT_RULES",
    "WeightRule",
    "class_weights",
    "weight_rules",
]

_logger = logging.getLogger(__name__)

#: Names of the rules of :func:`class_weights`.
WEIGHT_RULES = (
    "inverse",
    "sqrt_inverse",
    "effective_number",
    "class_beta",
    "power",
    "median_frequency",
)
#: Over what the mean weight is 1.
NORMALISATIONS = ("classes", "instances")


def class_weights(
    stats: ClassStats,
    rule: str,
    *,
    beta: float = 0.999,
    betas: Sequence[float] = (0.99, 0.9999),
    power: float = 1.0,
    max_ratio: float | None = 100.0,
    normalize: str = "instances",
    by: str = "instances",
) -> np.ndarray:
    r"""Weigh classes up the more, the fewer examples they have.

    With :math:`n_c` instances of class c and :math:`f_c` the share of images that
    hold it,

    .. math::
        \text{inverse: } 1 / n_c, \quad
        \text{sqrt\_inverse: } n_c^{-1/2}, \quad
        \text{effective\_number: } \frac{1 - \beta}{1 - \beta^{n_c}}, \quad
        \text{class\_beta: } \frac{1 - \beta_c}{1 - \beta_c^{n_c}}, \quad
        \text{power: } n_c^{-\rho}, \quad
        \text{median\_frequency: } \mathrm{median}(f) / f_c.

    where the :math:`\beta_c` of ``class_beta`` goes from the first of ``betas`` for the
    rarest class to the second for the most frequent one, in a line of :math:`n_c`.

    Weights above ``max_ratio`` times the smallest one are cut to that. Then they are
    scaled to mean 1 over the classes present or over all instances, except for
    ``median_frequency``, where the median class has 1 by definition. Classes without
    any instance get 1 and count nowhere. Balanced counts give exactly 1 for all.

    With mean 1 over instances foreground weighs as much against background as without
    weights. Mean 1 over classes is the scale of classifiers, which have no background;
    on a long tail most instances then weigh less than 1, and a detector loses frequent
    classes to background.

    Args:
        stats: Counts of the training set, C classes.
        rule: ``'inverse'``, ``'sqrt_inverse'``, ``'effective_number'``,
            ``'class_beta'``, ``'power'`` or ``'median_frequency'``.
        beta: Of ``effective_number``, in [0, 1): 0 is no weighting at all, towards 1
            it becomes ``inverse``. Default: 0.999.
        betas: Of ``class_beta``, two numbers in [0, 1), the second no less than the
            first. The authors' are for 600 examples of the largest class: with n there
            1 - 1 / n is in proportion. Default: (0.99, 0.9999).
        power: :math:`\rho` of ``power``, >= 0: 0 is no weighting at all, 1 is
            ``inverse``. Default: 1.
        max_ratio: Largest over smallest weight of the classes present, at least 1;
            None sets no limit. Default: 100.
        normalize: ``'classes'`` or ``'instances'``. Default: ``'instances'``.
        by: What :math:`n_c` counts, ``'instances'`` or ``'images'``. In losses of
            pixels these are the instances. Default: ``'instances'``.

    Returns:
        Weights, float64 (C,), above 0.

    Raises:
        ValueError: No such rule or normalisation, or ``beta``, ``betas`` or
            ``max_ratio`` out of range.
        TypeError: ``stats`` is no ClassStats, or another argument of another type.

    Example:
        >>> stats = ClassStats(("cat", "dog", "emu"), [3, 1, 0], [3, 1, 0], 4)
        >>> class_weights(stats, "inverse", normalize="classes").tolist()
        [0.5, 1.5, 1.0]

    Source: ``effective_number``: Cui et al., "Class-Balanced Loss Based on Effective
    Number of Samples", CVPR 2019, equation 3, where the mean is over classes.
    ``median_frequency``: Eigen and Fergus, ICCV 2015, section 6.3.2, with images in
    place of pixels. ``class_beta``: Liu et al., "Balanced Representation Learning for
    Long-tailed Skeleton-based Action Recognition", 2023, with the mean of the weights
    in place of their sum. The limit is our own.
    """
    if not isinstance(stats, ClassStats):
        raise TypeError(f"`stats` must be ClassStats, got {type(stats).__name__}")
    options = WeightRule(rule, beta, tuple(betas), max_ratio, normalize, by, power)
    return options(stats)


@dataclass(frozen=True)
class WeightRule:
    """A rule of :func:`class_weights` with its options, to be called with counts.

    The arguments are those of the function.

    Raises:
        TypeError, ValueError: An option is of another type or out of range.
    """

    rule: str
    beta: float = 0.999
    betas: tuple[float, ...] = (0.99, 0.9999)
    max_ratio: float | None = 100.0
    normalize: str = "instances"
    by: str = "instances"
    power: float = 1.0

    def __post_init__(self) -> None:
        name = "class weights"
        check_choice(name, "rule", self.rule, WEIGHT_RULES)
        check_choice(name, "normalize", self.normalize, NORMALISATIONS)
        check_choice(name, "by", self.by, COUNTED)
        check_number(name, "power", self.power, 0, None)
        betas = self.betas
        if not isinstance(betas, Sequence) or not all(map(is_number, betas)):
            raise TypeError(f"{name}: `betas` must be two numbers, got {betas!r}")
        if len(betas) != 2 or betas[0] > betas[1]:
            raise ValueError(
                f"{name}: `betas` must be two numbers, the least first, got {betas!r}"
            )
        given = [("beta", self.beta), *(("betas", beta) for beta in betas)]
        for key, value in given:
            check_number(name, key, value, 0, None)
            if not value < 1:
                raise ValueError(f"{name}: `{key}` must be in [0, 1), got {value!r}")
        if self.max_ratio is not None:
            check_number(name, "max_ratio", self.max_ratio, 1, None)

    def with_options(self, **options: Any) -> WeightRule:
        """Return the same rule with other options.

        Raises:
            TypeError, ValueError: An option is of another type or out of range, or the
                rule does not have it.
        """
        known = ["max_ratio", "normalize"]
        known += ["by"] * (self.rule != "median_frequency")
        own = dict(effective_number="beta", class_beta="betas", power="power")
        known += [own[self.rule]] if self.rule in own else []
        if unknown := sorted(set(options) - set(known)):
            raise ValueError(
                f"the rule {self.rule!r} has no {unknown}, but {sorted(known)}"
            )
        if isinstance(options.get("betas"), list):
            options["betas"] = tuple(options["betas"])
        return replace(self, **options)

    def __call__(self, stats: ClassStats) -> np.ndarray:
        """Return the weights, float64 (C,)."""
        weights = np.ones(stats.num_classes)
        present = stats.instance_count > 0
        if not present.any():
            return weights
        count = stats.instance_count[present].astype(float)
        of = stats.image_count[present].astype(float) if self.by == "images" else count
        raw = self._raw(of, stats.image_frequency[present])
        smallest = raw.min()
        limit = np.inf if self.max_ratio is None else self.max_ratio * smallest
        raw = np.minimum(raw, limit)
        if self.rule == "median_frequency":
            raw = raw / min(limit, 1)  # the median class stays at 1
        else:
            # Over the smallest first: equal weights then are 1 without rounding.
            raw = raw / smallest
            by_instance = self.normalize == "instances"
            raw = raw / np.average(raw, weights=count if by_instance else None)
        weights[present] = raw
        weighs = self.rule == "effective_number" and self.beta > 0
        if weighs and self.max_ratio != 1 and _differ(of) and not _differ(raw):
            _logger.warning(
                "`effective_number` with beta=%s weighs all classes alike, though "
                "their counts go from %d to %d: give it a `beta` nearer to 1, or "
                "`by='images'`",
                self.beta,
                of.min(),
                of.max(),
            )
        return weights

    def _raw(self, count: np.ndarray, frequency: np.ndarray) -> np.ndarray:
        """Return the weights before limit and mean."""
        if self.rule == "inverse":
            return 1 / count
        if self.rule == "sqrt_inverse":
            return 1 / np.sqrt(count)
        if self.rule == "power":
            return np.asarray(count**-self.power)
        if self.rule == "median_frequency":
            return np.median(frequency) / frequency
        beta = np.full(len(count), float(self.beta))
        if self.rule == "class_beta":
            low, high = self.betas
            spread = max(np.ptp(count), 1)
            beta = low + (high - low) * (count - count.min()) / spread
        # beta^n as a power would lose the digits that a beta near 1 needs.
        some = beta > 0
        log_beta = np.log(np.where(some, beta, 0.5))
        return np.where(some, (1 - beta) / -np.expm1(count * log_beta), 1.0)


def _differ(numbers: np.ndarray) -> bool:
    """Tell whether numbers above 0 differ by more than a hundredth."""
    return bool(numbers.max() > 1.01 * numbers.min())


def weight_rules(**options: Any) -> dict[str, WeightRule]:
    """Return the rules of :func:`class_weights` by name, as functions of the counts.

    Args:
        **options: ``beta``, ``max_ratio`` and ``normalize``.
    """
    return {rule: WeightRule(rule, **options) for rule in WEIGHT_RULES}
