"""From the accuracy of each class to weights by difficulty."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from imb_det.statistics.frequency_groups import DEFAULT_LIMITS, GroupLimits

__all__ = [
    "DYNAMIC_TAUS",
    "difficulty_weights",
    "dynamic_tau",
    "fill_unmeasured",
    "smooth_accuracy",
]


#: Forms of the dynamic exponent: by how much the ratio of accuracies is lowered, and
#: by what its sigmoid is multiplied.
DYNAMIC_TAUS = {"dynamic": (1.0, 2.0), "dynamic_cifar": (0.0, 1.0)}


def dynamic_tau(accuracy: npt.ArrayLike, form: str = "dynamic") -> float:
    r"""Choose the exponent by how far apart the accuracies of the classes are.

    .. math:: r = \frac{\max_c A_c}{\min_c A_c + 0.01}, \quad
              \tau = 2 \, \mathrm{sigmoid}(r - 1) \quad\text{or}\quad
              \tau = \mathrm{sigmoid}(r)

    The first, ``'dynamic'``, is near 1 for equal accuracies, and goes towards 2 when
    one class lags far behind. The second, ``'dynamic_cifar'``, goes from 0.73 towards
    1, and from 0.5 where no class is ever right: it weighs much less.

    Args:
        accuracy: A_c of each class, in [0, 1], shape (C,), no NaN.
        form: ``'dynamic'`` or ``'dynamic_cifar'``. Default: ``'dynamic'``.

    Returns:
        Exponent tau, in (0.5, 2], or in [0.5, 1].

    Raises:
        ValueError: Not one number in [0, 1] for each class, or another form.

    Example:
        >>> dynamic_tau([0.49, 0.99])  # r = 1.98
        1.454...
        >>> dynamic_tau([0.49, 0.99], "dynamic_cifar")
        0.878...

    Source: Sinha, Ohashi, Nakamura, "Class-Wise Difficulty-Balanced Loss for Solving
    Class-Imbalance", ACCV 2020. The authors' code has both: the first form in
    ``ImageNet-LT/loss/CDBSoftmaxLoss.py``, and in ``compute_weights`` of
    ``CIFAR-LT/utils.py``, whose only call is commented out; the second in
    ``losses/cdb_loss.py`` of ``CIFAR-LT`` and ``EGTEA``, which their trainings use.
    Commands and configs that they publish name a number instead: 1.5 for CIFAR and
    EGTEA, 1 for ImageNet.
    """
    values = _checked(accuracy)
    if form not in DYNAMIC_TAUS:
        raise ValueError(f"`form` must be one of {tuple(DYNAMIC_TAUS)}, got {form!r}")
    lowered, factor = DYNAMIC_TAUS[form]
    ratio = values.max() / (values.min() + 0.01)
    return factor / (1 + math.exp(lowered - ratio))


def difficulty_weights(
    accuracy: npt.ArrayLike,
    tau: float | str = "dynamic",
    max_ratio: float | None = 100.0,
) -> tuple[np.ndarray, float]:
    r"""Weigh classes up the more, the lower their accuracy.

    .. math:: d_c = 1 - A_c, \quad w_c \propto d_c^{\tau}, \quad \sum_c w_c = C

    Weights below ``1 / max_ratio`` of the largest are raised to that before they are
    scaled to sum C, so that a class without error is not forgotten. Equal accuracies,
    all perfect too, give exactly 1 for all.

    Args:
        accuracy: A_c of each class, in [0, 1], shape (C,), no NaN.
        tau: Exponent, finite and at least 0, or ``'dynamic'`` or ``'dynamic_cifar'``:
            :func:`dynamic_tau`. 0 is no weighting at all. Default: ``'dynamic'``.
        max_ratio: Largest over smallest weight, at least 1; None sets no limit, as
            the authors have it, and a class without error then has weight 0.
            Default: 100.

    Returns:
        Weights, float64 (C,), sum C; and the exponent that was used.

    Raises:
        ValueError: An argument out of range.

    Example:
        >>> difficulty_weights([0.25, 0.75], tau=1)
        (array([1.5, 0.5]), 1.0)

    Source: as :func:`dynamic_tau`. The limit is our own.
    """
    values = _checked(accuracy)
    if tau in DYNAMIC_TAUS:
        exponent = dynamic_tau(values, str(tau))
    elif isinstance(tau, str) or not 0 <= tau < math.inf:
        raise ValueError(
            f"`tau` must be one of {tuple(DYNAMIC_TAUS)} or a number >= 0, got {tau!r}"
        )
    else:
        exponent = float(tau)
    if max_ratio is not None and not max_ratio >= 1:
        raise ValueError(f"`max_ratio` must be None or at least 1, got {max_ratio}")
    difficulty = 1 - values
    hardest = difficulty.max()
    if hardest == 0:
        return np.ones(len(values)), exponent
    # Over the hardest first: tiny difficulties of all classes do not underflow.
    weights = (difficulty / hardest) ** exponent
    if max_ratio is not None:
        weights = np.maximum(weights, 1 / max_ratio)
    return weights * (len(weights) / weights.sum()), exponent


def smooth_accuracy(
    previous: npt.ArrayLike, measured: npt.ArrayLike, momentum: float
) -> np.ndarray:
    r"""Follow the measured accuracy: :math:`A \leftarrow m A + (1 - m) A_{new}`.

    The first value of a class is taken as it is.

    Args:
        previous: Smoothed accuracy of each class, NaN where there was none yet, (C,).
        measured: New accuracy of each class, NaN where it was not measured, (C,).
        momentum: Share of the past m, in [0, 1).

    Returns:
        Smoothed accuracy, float64 (C,); NaN where there never was a value.

    Example:
        >>> nan = float("nan")
        >>> smooth_accuracy([0.5, nan, 0.5, nan], [1, 1, nan, nan], 0.5)
        array([0.75, 1.  , 0.5 ,  nan])
    """
    old, new = np.asarray(previous, float), np.asarray(measured, float)
    mean = momentum * old + (1 - momentum) * new
    mean = np.where(np.isnan(old), new, mean)
    return np.where(np.isnan(new), old, mean)


def fill_unmeasured(
    accuracy: npt.ArrayLike,
    image_count: npt.ArrayLike,
    group_limits: GroupLimits = DEFAULT_LIMITS,
) -> tuple[np.ndarray, np.ndarray]:
    """Guess the accuracy of classes that never had one from similar classes.

    Such a class gets the mean of the known classes of its frequency group (rare,
    common or frequent), or of all known classes if its group knows none.

    Args:
        accuracy: Accuracy of each class, NaN where unknown, (C,).
        image_count: Training images of each class, (C,).
        group_limits: Which classes are rare, common and frequent. Default: up to 10
            images, up to 100, and more.

    Returns:
        Accuracy without NaN, float64 (C,), or as it was if no class is known; and a
        bool (C,) that is True where the mean of the group was taken.

    Example:
        >>> filled, by_group = fill_unmeasured(
        ...     [0.2, float("nan"), 0.6, float("nan")], [1, 2, 500, 50]
        ... )
        >>> filled, by_group.nonzero()[0]
        (array([0.2, 0.2, 0.6, 0.4]), array([1]))
    """
    values = np.array(accuracy, float)
    by_group = np.zeros(len(values), bool)
    known = ~np.isnan(values)
    if not known.any():
        return values, by_group
    filled = np.where(known, values, values[known].mean())
    for members in group_limits.groups(image_count).values():
        is_known = known[members]
        if is_known.any():
            unknown = members[~is_known]
            filled[unknown] = values[members[is_known]].mean()
            by_group[unknown] = True
    return filled, by_group


def _checked(accuracy: npt.ArrayLike) -> np.ndarray:
    """Return the accuracies as float64, if that is what they are."""
    values = np.asarray(accuracy, float)
    if values.ndim != 1 or not values.size or not np.all((values >= 0) & (values <= 1)):
        raise ValueError(
            "`accuracy` needs one number in [0, 1] for each class, got "
            f"{np.array2string(values, threshold=20)}"
        )
    return values
