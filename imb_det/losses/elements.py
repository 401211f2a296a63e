"""Element losses of negatives, with their derivatives, for the one-pass losses."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["DensityElement", "FocalElement", "bin_of", "sigmoid_and_softplus"]

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


class FocalElement:
    """Focal loss of negatives, ``p^gamma (-log(1 - p))``.

    Args:
        gamma: Exponent, >= 0; 0 is binary cross entropy.
    """

    def __init__(self, gamma: float) -> None:
        self.gamma = gamma

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return loss and derivative."""
        p, nll = sigmoid_and_softplus(z)
        gamma = self.gamma
        if gamma == 0:
            return nll, p
        modulation = p * p if gamma == 2 else p**gamma
        return modulation * nll, modulation * (p + gamma * (1 - p) * nll)


class DensityElement:
    """Binary cross entropy, weighted by the bin of the gradient norm.

    Args:
        beta: Weight of each of M equal bins of [0, 1], float (M,).
    """

    def __init__(self, beta: Tensor) -> None:
        self.beta = beta

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return loss and derivative of negatives, whose gradient norm is p."""
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
