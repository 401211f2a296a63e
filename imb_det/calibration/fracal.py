"""Calibration by the frequency of the classes and by the places where they occur."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from imb_det.core import check_number, refuse_idle
from imb_det.registry import MODELS
from imb_det.statistics.class_vector import ClassVector

from .counts import count_vector, counts_for
from .logit_calibrator import LogitCalibrator, times_probability

__all__ = ["FRACAL", "fractal_dimension"]

_LAMBDA = 2.0
_GRIDS = 64
_FEWEST = 4


def fractal_dimension(centres: np.ndarray) -> float:
    r"""Return the box-counting dimension of the places where objects are.

    The slope of :math:`\log N(G)` over :math:`\log G`, where N cells of a grid of side
    G hold a centre, over the grids with no more cells than objects, :math:`G^2 \le n`.

    Args:
        centres: Centres of boxes as shares of width and height, in [0, 1], (n, 2).

    Returns:
        At least 1, which it is for fewer than 4 objects, and about 2 for objects
        everywhere.

    Raises:
        ValueError: Another shape, or centres outside.

    Source: Alexandridis et al., "Fractal Calibration for long-tailed object
    detection", CVPR 2025. A centre at 1 is in the last cell; in the authors' code it
    is in none.
    """
    if centres.ndim != 2 or centres.shape[1] != 2:
        raise ValueError(f"`centres` must be (n, 2), got {centres.shape}")
    if len(centres) and not ((centres >= 0) & (centres <= 1)).all():
        raise ValueError(
            f"`centres` must be in [0, 1], got {centres.min():g} to {centres.max():g}"
        )
    sides = np.arange(1, min(_GRIDS, math.isqrt(len(centres))) + 1)
    if len(centres) < _FEWEST:
        return 1.0
    occupied = [
        len(np.unique(np.minimum(np.floor(centres * side), side - 1), axis=0))
        for side in sides
    ]
    slope, _ = np.polyfit(np.log(sides), np.log(occupied), 1)
    return max(float(slope), 1.0)


@MODELS.register_module()
class FRACAL(LogitCalibrator):
    r"""Fractal calibration.

    .. math::

        z'_c = z_c - \log_b (C f_c), \qquad
        p'_c \propto \mathrm{softmax}(z')_c / \Phi_c^\lambda

    with f the share of images that hold the class and :math:`\Phi` the fractal
    dimension of its places, background with a divisor of 1; and with independent
    sigmoids

    .. math::

        p'_c = \sigma(z_c)\, \sigma\Big(z_c - \log_b (C f_c)
        - \log_{10} \frac{C \Phi_c^\lambda}{\sum_k \Phi_k^\lambda}\Big)

    Args:
        dimension: :math:`\Phi`, one number >= 1 for each class, as a list or by class
            name, as ``tools/calibrate.py`` finds them; None for frequencies alone.
            Default None.
        lambda_: :math:`\lambda`, >= 0; 0 for frequencies alone. Default 2.
        base: b, > 1. Default 10.
        counts: What f is in proportion to: ``'images'``, over the number of images;
            ``'instances'``, over the number of all; or the shares themselves, C numbers
            in (0, 1]. Default ``'images'``, as the authors' code has it; the paper
            writes instances.
        min_count: What a class counts as at least; None refuses classes without
            examples. Default None.

    Raises:
        TypeError, ValueError: An argument out of range, or ``lambda_`` without
            ``dimension``; when counts come: a class without examples.

    Example:
        >>> calibrator = FRACAL(base=2.0, counts=[1.0, 0.25])
        >>> calibrator(torch.zeros(1, 2), exclusive=True)
        tensor([[-1.,  1.]])

    Source: Alexandridis et al., "Fractal Calibration for long-tailed object
    detection", CVPR 2025.
    """

    def __init__(
        self,
        dimension: Sequence[float] | Mapping[str, float] | None = None,
        lambda_: float = _LAMBDA,
        base: float = 10.0,
        counts: str | Sequence[float] | Mapping[str, float] = "images",
        min_count: float | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_number(name, "lambda_", lambda_, 0, None)
        check_number(name, "base", base, 1, None, open_ends=True)
        if dimension is None:
            refuse_idle(name, "without `dimension`", lambda_=(lambda_, _LAMBDA))
        self.lambda_, self.base = lambda_, base
        self.dimension = ClassVector(name, "dimension", dimension, low=1)
        # Not `counts`: those that a checkpoint has of another calibrator do not fit.
        self.shares = count_vector(name, counts, min_count, relative=True)

    def affine(self, num_classes: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return 1 and the summand."""
        summand = self._of_frequency(num_classes, like)
        places = self._of_places(num_classes, like)
        return like.new_ones(()), summand if places is None else summand - places

    def of_sigmoid(self, logits: Tensor) -> Tensor:
        """Change logits of independent classes, (..., C)."""
        classes = logits.size(-1)
        shift = self._of_frequency(classes, logits)
        places = self._of_places(classes, logits)
        if places is not None:
            relative = places - places.logsumexp(0) + math.log(classes)
            shift = shift - relative / math.log(10)
        return times_probability(logits, F.logsigmoid(logits + shift))

    def _of_frequency(self, num_classes: int, like: Tensor) -> Tensor:
        shares = counts_for(self.shares, num_classes, like)
        return -torch.log(num_classes * shares) / math.log(self.base)

    def _of_places(self, num_classes: int, like: Tensor) -> Tensor | None:
        """Return the logarithm of what probabilities are divided by."""
        dimension = self.dimension(num_classes, like)
        if dimension is None:
            return None
        return self.lambda_ * dimension.expand(num_classes).log()
