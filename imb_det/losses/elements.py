"""Losses of single elements with their derivatives, for the one-pass losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .soft_targets import focal_to

__all__ = [
    "CrossEntropyElement",
    "DensityElement",
    "Element",
    "FocalElement",
    "GumbelElement",
    "at_columns",
    "bin_of",
    "focal_of_nll",
    "log1p_sum",
    "sigmoid_and_softplus",
]

#: Loss and derivative of elements, ``element(z, positive)``: z are logits, negated
#: where ``positive`` is true, so that a symmetric loss treats all as negatives. Both
#: results are as functions of the z given, and as large. For targets y in [0, 1] it has
#: a method ``soft(z, y)``, least where the probability is y and equal to the others
#: where y is 0 or 1; or it says with ``mixes = True`` that the mean of a positive and a
#: negative, weighted by y, is that; else its targets are 0 and 1. Probabilities are
#: sigmoids, unless it has a method ``probability(z)``. Finite logits must give a finite
#: loss and derivative.
#:
#: Own classes are one a row, so an element with numbers for each channel, (K,), has a
#: method ``at(columns)``, which returns it with those of the columns (n, 1) alone.
#:
#: Cross entropies of a probability p may have a method ``odds(z)``, which returns
#: p / (1 - p) and the derivative of -log(1 - p) divided by these, None for that of
#: a sigmoid, 1 - p. They may be infinite where logits are large, and are a quick way
#: where none is.
Element = Callable[[Tensor, bool], tuple[Tensor, Tensor]]

# Beyond this size of logits nothing changes but log(1 + e^z) itself, which is z.
_FAR = 80.0


def sigmoid_and_softplus(z: Tensor) -> tuple[Tensor, Tensor]:
    """Return p = sigmoid(z) and -log(1 - p), each to float precision for every z.

    Both share one exponential. Compiled float32 code takes the logarithm from a
    polynomial, which a CPU's vector units do three times as fast.
    """
    if not torch.compiler.is_compiling():
        # Beyond 80, where rounding has made log(1 + e^z) to z, it is at least that.
        odds = z.clamp(-_FAR, _FAR).exp_()
        softplus = torch.log1p(odds)
        p = odds.div_(1 + odds)
        return p, torch.maximum(softplus, z, out=softplus)
    if z.dtype != torch.float32:
        return torch.sigmoid(z), F.softplus(z, threshold=40)
    e = torch.exp(-z.abs())
    p_of_abs = 1 / (1 + e)
    # log(1 + e) = e P(e) on [0, 1], Chebyshev interpolation in e of degree 8; its
    # relative error is 3e-8, half a unit in the last place of float32. The numbers
    # stand in the code: of those elsewhere the compiler makes arguments to be read.
    e2 = e * e
    e4 = e2 * e2
    low = (0.9999999705 - 0.4999950152 * e) + (0.3331927134 - 0.2484436989 * e) * e2
    high = (0.1911143108 - 0.1367476971 * e) + (0.07836166802 - 0.02958850739 * e) * e2
    high = high + 0.005253457798 * e4
    softplus = z.clamp(min=0) + (low + high * e4) * e
    return torch.where(z >= 0, p_of_abs, e * p_of_abs), softplus


def log1p_sum(odds: Tensor, factor: Tensor | None = None) -> Tensor:
    r"""Return :math:`\sum_j w_j \log(1 + o_j)` of each row, (n, 1), in place.

    Without factors it takes one logarithm for a product of four to seven numbers 1 + o,
    less one, which is exact for small ones as well. It is infinite where a product is.

    Args:
        odds: o, float (n, K), >= 0, which are lost.
        factor: w, (K,), (n, K) or scalar; None for 1.
    """
    if factor is None or factor.dim() == 0:
        for _ in range(2):
            odds = _product_less_one(odds)
        total = odds.log1p_().sum(1, keepdim=True)
        return total if factor is None else total * factor
    if factor.dim() == 1:
        return (odds.log1p_() @ factor)[:, None]
    return odds.log1p_().mul_(factor).sum(1, keepdim=True)


def _product_less_one(odds: Tensor) -> Tensor:
    """Return (1 + a) (1 + b) - 1 for each a of the first half and b of the second."""
    half, odd = divmod(odds.size(1), 2)
    if not half:
        return odds
    a, b = odds[:, :half], odds[:, half + odd :]
    product = torch.addcmul(a, a, b).add_(b)
    if odd:
        middle = odds[:, half]
        product[:, 0] += middle + product[:, 0] * middle
    return product


def at_columns(values: Any, columns: Tensor) -> Any:
    """Return the numbers of some channels; one number for all is left as it is.

    Args:
        values: A number, a scalar, or a tensor (K,).
        columns: Numbers of channels, int64, of any shape.
    """
    if isinstance(values, Tensor) and values.dim() == 1:
        return values[columns]
    return values


class CrossEntropyElement:
    """Binary cross entropy, ``-log(1 - p)`` of negatives."""

    def __call__(self, z: Tensor, positive: bool) -> tuple[Tensor, Tensor]:
        """Return loss and derivative."""
        p, nll = sigmoid_and_softplus(z)
        return nll, p

    def soft(self, z: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return loss and derivative for targets."""
        return focal_to(z, target, 0.0)

    def odds(self, z: Tensor) -> tuple[Tensor, None]:
        """Return p / (1 - p)."""
        return torch.exp(z), None


class FocalElement:
    """Focal loss, of negatives ``p^gamma (-log(1 - p))``; quality focal of targets.

    Args:
        gamma: Exponent, >= 0, a number or one for each channel, (K,).
    """

    def __init__(self, gamma: float | Tensor) -> None:
        self.gamma = gamma

    def at(self, columns: Tensor) -> FocalElement:
        """Return the element with the exponents of some channels."""
        return FocalElement(at_columns(self.gamma, columns))

    def __call__(self, z: Tensor, positive: bool) -> tuple[Tensor, Tensor]:
        """Return loss and derivative."""
        p, nll = sigmoid_and_softplus(z)
        gamma = self.gamma
        if isinstance(gamma, Tensor):
            gamma = gamma.to(z.dtype)
        elif gamma == 0:
            return nll, p
        if not isinstance(gamma, Tensor) and gamma == 2:
            modulation = p * p
        else:  # p^gamma: log(p) = z + log(1 - p), and exponentials are quicker
            modulation = (z - nll).mul_(gamma).exp_()
        curve = torch.addcmul(nll, p, nll, value=-1).mul_(gamma)  # gamma (1 - p) nll
        return nll.mul_(modulation), p.add_(curve).mul_(modulation)

    def soft(self, z: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return loss and derivative for targets: ``|y - p|^gamma`` cross entropy."""
        return focal_to(z, target, self.gamma)


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

    low, high = -4.0, 10.0
    mixes = True

    def __call__(self, z: Tensor, positive: bool) -> tuple[Tensor, Tensor]:
        """Return loss and derivative by z, which is negated for positives."""
        if not positive:
            odds, rate = self.odds(z)
            return torch.log1p(odds), rate.mul_(odds)
        inner = z.clamp(-self.high, -self.low).exp()  # -log(eta)
        inside = (z > -self.high) & (z < -self.low)
        return inner, torch.where(inside, inner, 0)

    def odds(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return eta / (1 - eta), and -log(eta) where logits are within the limits."""
        # Odds below 4e-15 are taken for that: logarithms of 1e-20 are slow.
        inner = z.clamp(-3.5, self.high).neg_().exp_()
        odds = torch.expm1(inner).reciprocal_()
        # The derivative of clamping, at the limits too: 0.
        rate = torch.ops.aten.hardtanh_backward(inner, z, self.low, self.high)
        return odds, rate

    def probability(self, z: Tensor) -> Tensor:
        """Return the probabilities of logits."""
        return torch.exp(-torch.exp(-z))


class DensityElement:
    """Binary cross entropy, weighted by the bin of the gradient norm.

    Args:
        beta: Weight of each of M equal bins of [0, 1], float (M,).
    """

    def __init__(self, beta: Tensor) -> None:
        self.beta = beta

    def __call__(self, z: Tensor, positive: bool) -> tuple[Tensor, Tensor]:
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
