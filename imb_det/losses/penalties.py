"""Penalties of the augmented Lagrangian for a constraint h <= 0."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["PENALTIES", "penalty_of"]

#: Names as the field has them: Powell-Hestenes-Rockafellar, and P2 and P3 of Birgin.
PENALTIES = ("phr", "p2", "p3")

# From here on a penalty is a straight line: gradients of a square, or a cube, would be
# infinite in float16.
_LARGE = 100.0


def penalty_of(
    form: str, h: Tensor, multiplier: Tensor, rho: Tensor
) -> tuple[Tensor, Tensor]:
    r"""Return a penalty with its derivative by h.

    With :math:`y = \lambda + \rho h`, ``'phr'`` is :math:`(y^2 - \lambda^2) / (2 \rho)`
    where y >= 0, else :math:`-\lambda^2 / (2 \rho)`. ``'p2'`` and ``'p3'`` are
    :math:`\lambda h / (1 - \rho h)` where h < 0, else :math:`\lambda h + \lambda \rho
    h^2`, to which ``'p2'`` adds :math:`\rho^2 h^3 / 6`. Beyond h = 100 they go on as
    straight lines, so that half precision does not overflow.

    Args:
        form: One of :data:`PENALTIES`.
        h: Constraint, (..., K).
        multiplier: :math:`\lambda` > 0, (K,) or scalar.
        rho: :math:`\rho` > 0, (K,) or scalar.

    Returns:
        Both of the shape of h.

    Source: Birgin, Castillo, Martinez, "Numerical Comparison of Augmented Lagrangian
    Algorithms for Nonconvex Problems", 2005.
    """
    near = h.clamp(max=_LARGE)
    if form == "phr":
        y = (multiplier + rho * near).clamp(min=0)
        value, slope = (y**2 - multiplier**2) / (2 * rho), y
    else:
        inside = h < 0
        low = 1 - rho * h.clamp(max=0)
        high = near.clamp(min=0)
        value = multiplier * high + multiplier * rho * high**2
        slope = multiplier + 2 * multiplier * rho * high
        if form == "p2":
            value = value + rho**2 * high**3 / 6
            slope = slope + rho**2 * high**2 / 2
        value = torch.where(inside, multiplier * h / low, value)
        slope = torch.where(inside, multiplier / low**2, slope)
    return value + slope * (h - near), slope
