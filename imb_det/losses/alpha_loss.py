"""Alpha loss: between exponential loss, cross entropy and 1 - p."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from imb_det.registry import MODELS
from imb_det.statistics.class_vector import ClassVector

from .base import ImbalanceLoss
from .elements import at_columns, sigmoid_and_softplus
from .terms import Call, Terms

__all__ = ["AlphaLoss"]

Alpha = float | Sequence[float] | Mapping[str, Any]

#: Least probability whose gradient alphas below 1 enlarge further.
LEAST = 1e-4


def _of_nll(nll: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
    r"""Return the loss as a function of -log p, and its derivative.

    With :math:`k = (\alpha - 1) / \alpha` the loss is :math:`(1 - p^k) / k`, and its
    derivative by -log p is :math:`p^k`. Below the least probability it goes on in a
    straight line.
    """
    k = (alpha - 1) / alpha
    most = -torch.log(torch.tensor(LEAST, dtype=nll.dtype))
    inside = nll.clamp(max=float(most))
    slope = torch.exp(-k * inside)
    # (1 - exp(-x)) / x to float precision, 1 at 0.
    x = k * inside
    is_small = x.abs() < 1e-6
    ratio = -torch.expm1(-x) / torch.where(is_small, 1, x)
    mean = torch.where(is_small, 1 - x / 2, ratio)
    return inside * mean + (nll - inside) * slope, slope


class AlphaElement:
    """Alpha loss of single elements.

    Args:
        alpha: Of each channel, (C,), or scalar, > 0.
    """

    def __init__(self, alpha: Tensor) -> None:
        self.alpha = alpha

    def at(self, columns: Tensor) -> AlphaElement:
        """Return the element with the alphas of some channels."""
        return AlphaElement(at_columns(self.alpha, columns))

    def __call__(self, z: Tensor, positive: bool) -> tuple[Tensor, Tensor]:
        """Return loss and derivative."""
        p, nll = sigmoid_and_softplus(z)
        loss, rate = _of_nll(nll, self.alpha.to(z.dtype))
        return loss, rate * p


@MODELS.register_module()
class AlphaLoss(ImbalanceLoss):
    r"""Alpha loss: one number from hard examples first to hard examples last.

    .. math:: L = \frac{\alpha}{\alpha - 1} \left(1 - p_y^{(\alpha - 1) / \alpha}\right)

    with a sigmoid for each element. 1 is cross entropy, below 1 badly recognised
    examples weigh more (imbalance), above 1 less (wrong labels).

    Args:
        use_sigmoid: Sigmoid (C channels) or softmax (C + 1). Default False. The config
            must say it in dense heads.
        alpha: :math:`\alpha` > 0, for all classes, or with a sigmoid C of them, as a
            list or by class name (others 1). The authors try 0.8 to 4. Default 0.9.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        compiled: Whether to compile the loss; ``'auto'`` does on a GPU. Default
            ``'auto'``.

    Raises:
        TypeError, ValueError: At construction for an argument; when training starts
            for alphas that do not fit the classes.

    Example:
        >>> import torch
        >>> loss = AlphaLoss(alpha=0.5)  # 1 / p - 1
        >>> loss(torch.zeros(1, 4), torch.tensor([1]), avg_factor=1)
        tensor(3.0000)

    Source: Sypherd et al., "A Tunable Loss Function for Robust Classification:
    Calibration, Landscape, and Generalization", IEEE Transactions on Information Theory
    2022. Below a probability of 1e-4 the loss goes on in a straight line, as the power
    grows without end. Alphas by class are our own.
    """

    def __init__(
        self,
        use_sigmoid: bool = False,
        alpha: Alpha = 0.9,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        compiled: bool | str = "auto",
    ) -> None:
        super().__init__(use_sigmoid, reduction, loss_weight, compiled)
        name = type(self).__name__
        self.alpha = ClassVector(name, "alpha", alpha, open_ends=True)
        self.needs_classes = use_sigmoid
        if not use_sigmoid and not isinstance(self.alpha.spec, float):
            raise ValueError(
                f"{name}: with a softmax `alpha` must be one number, got {alpha!r}: a "
                "row has one loss, of all classes together"
            )

    def terms(self, call: Call) -> Terms:
        """Return the loss of elements or rows."""
        alpha = self.alpha(call.num_classes, call.cls_score)
        if self.use_sigmoid:
            return Terms(element=AlphaElement(alpha))
        return Terms(of_nll=lambda nll: _of_nll(nll, alpha.to(nll.dtype)))
