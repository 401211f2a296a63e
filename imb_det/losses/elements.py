"""Losses of single elements with their derivatives, for the one-pass losses."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "CrossEntropyElement",
    "DensityElement",
    "Element",
    "FocalElement",
    "GumbelElement",
    "bin_of",
    "focal_of_nll",
    "sigmoid_and_softplus",
]

#: Loss and derivative of elements, ``element(z, positive)``: z are logits, negated
#: where the bool tensor ``positive`` is true, so that a symmetric loss treats all as
#: negatives. Both results are as functions of the z given. For targets y in [0, 1] the
#: loss is the mean of a positive and a negative, weighted by y, unless the element has
#: a method ``soft(z, y)`` of its own. ``positive`` is None where the attribute
#: ``is_symmetric`` of the element is true. Probabilities are sigmoids, unless it has a
#: method ``probability(z)``. Finite logits must give a finite loss and derivative.
Element = Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]]

# log(1 + e) = e P(e) on [0, 1], Chebyshev interpolation in e of degree 8; its relative
# error is 3e-8, half a unit in the last place of float32.
_LOG1P = (
    0.9999999705,
    -0.4999950152,
    0.3331927134,
    -0.2484436989,
    0.1911143108,
    -0.1367476971,
    0.07836166802,
    -0.02958850739,
    0.005253457798,
)


def sigmoid_and_softplus(z: Tensor) -> tuple[Tensor, Tensor]:
    """Return p = sigmoid(z) and -log(1 - p), each to float precision for every z.

    Compiled float32 code shares one exponential between both and takes the logarithm
    from a polynomial, which a CPU's vector units do three times as fast.
    """
    if not torch.compiler.is_compiling() or z.dtype != torch.float32:
        return torch.sigmoid(z), F.softplus(z, threshold=40)
    e = torch.exp(-z.abs())
    p_of_abs = 1 / (1 + e)
    a, e2 = _LOG1P, e * e
    e4 = e2 * e2
    low = (a[0] + a[1] * e) + (a[2] + a[3] * e) * e2
    high = (a[4] + a[5] * e) + (a[6] + a[7] * e) * e2 + a[8] * e4
    softplus = z.clamp(min=0) + (low + high * e4) * e
    return torch.where(z >= 0, p_of_abs, e * p_of_abs), softplus


class CrossEntropyElement:
    """Binary cross entropy, ``-log(1 - p)`` of negatives."""

    is_symmetric = True

    def __call__(self, z: Tensor, positive: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return loss and derivative."""
        p, nll = sigmoid_and_softplus(z)
        return nll, p


class FocalElement:
    """Focal loss, of negatives ``p^gamma (-log(1 - p))``.

    Args:
        gamma: Exponent, >= 0, a number or one for each channel, (K,).
    """

    is_symmetric = True

    def __init__(self, gamma: float | Tensor) -> None:
        self.gamma = gamma

    def __call__(self, z: Tensor, positive: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return loss and derivative."""
        p, nll = sigmoid_and_softplus(z)
        gamma = self.gamma
        if isinstance(gamma, Tensor):
            gamma = gamma.to(z.dtype)
        elif gamma == 0:
            return nll, p
        is_square = not isinstance(gamma, Tensor) and gamma == 2
        modulation = p * p if is_square else p**gamma
        return modulation * nll, modulation * (p + gamma * (1 - p) * nll)


def focal_of_nll(nll: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    r"""Return the focal form of -log p with its derivative, for softmax losses.

    .. math:: f(\ell) = (1 - e^{-\ell})^\gamma\, \ell

    Args:
        nll: -log p, of any shape.
        gamma: Exponent, > 0.
    """
    # Not below 1e-12, where the slope of a power below 1 has no end.
    missing = -torch.expm1(-nll)
    is_small = missing < 1e-12
    missing = missing.clamp(min=1e-12)
    modulation = missing**gamma
    curve = gamma * modulation / missing * torch.exp(-nll) * nll
    return modulation * nll, modulation + torch.where(is_small, 0, curve)


class GumbelElement:
    r"""Cross entropy of the Gumbel distribution, :math:`\eta = e^{-e^{-z}}`.

    Logits are taken as if they were in [-4, 10], without a gradient outside of that.

    Source: Alexandridis et al., "Long-tailed Instance Segmentation using Gumbel
    Optimized Loss", ECCV 2022, with the limits of the authors' code; logarithms are
    taken of the exact expressions, so that no probability is rounded to 0 or 1.
    """

    is_symmetric = False

    def __call__(self, z: Tensor, positive: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return loss and derivative by z, which is negated for positives."""
        is_positive = torch.zeros_like(z, dtype=torch.bool)
        if positive is not None:
            is_positive = positive
        logit = torch.where(is_positive, -z, z)
        inside = (logit >= -4) & (logit <= 10)
        inner = torch.exp(-logit.clamp(-4, 10))  # -log(eta)
        rest = -torch.expm1(-inner)  # 1 - eta
        loss = torch.where(is_positive, inner, -torch.log(rest))
        slope = torch.where(is_positive, inner, torch.exp(-inner) * inner / rest)
        return loss, torch.where(inside, slope, 0)

    def probability(self, z: Tensor) -> Tensor:
        """Return the probabilities of logits."""
        return torch.exp(-torch.exp(-z))


class DensityElement:
    """Binary cross entropy, weighted by the bin of the gradient norm.

    Args:
        beta: Weight of each of M equal bins of [0, 1], float (M,).
    """

    is_symmetric = True

    def __init__(self, beta: Tensor) -> None:
        self.beta = beta

    def __call__(self, z: Tensor, positive: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return loss and derivative; the gradient norm of a negative is p."""
        p, nll = sigmoid_and_softplus(z)
        weight = self._weight(p)
        return weight * nll, weight * p

    def soft(self, z: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return loss and derivative for targets y, with gradient norm abs(p - y)."""
        p, nll = sigmoid_and_softplus(z)
        weight = self._weight((p - target).abs())
        return weight * (nll - z * target), weight * (p - target)

    def _weight(self, norm: Tensor) -> Tensor:
        return self.beta.to(norm.dtype)[bin_of(norm, len(self.beta))]


def bin_of(p: Tensor, bins: int) -> Tensor:
    """Return the bin of each value of [0, 1]; 1 is in the last one, NaN in any."""
    return (p * bins).to(torch.int32).clamp(0, bins - 1)
