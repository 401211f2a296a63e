"""Varifocal loss: good boxes first, and easy background last."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from imb_det.core import check_choice, check_number
from imb_det.registry import MODELS

from .base import ImbalanceLoss
from .class_weighted import (
    ClassWeight,
    check_weighting,
    class_weight_vector,
    weighting_terms,
)
from .elements import CrossEntropyElement, FocalElement
from .soft_targets import focal_to
from .terms import Call, Terms

__all__ = ["VarifocalLoss"]


class VarifocalElement:
    """Focal loss of negatives; cross entropy of positives, times their target.

    Args:
        gamma: Exponent of negatives, >= 0.
        weighted: Whether the target is a factor.
    """

    def __init__(self, gamma: float, weighted: bool) -> None:
        self.weighted = weighted
        self.positive, self.negative = CrossEntropyElement(), FocalElement(gamma)

    def __call__(self, z: Tensor, positive: bool) -> tuple[Tensor, Tensor]:
        """Return loss and derivative."""
        return self.positive(z, True) if positive else self.negative(z, False)

    def soft(self, z: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return loss and derivative for targets; 0 is a negative."""
        loss, slope = focal_to(z, target, 0.0)
        if self.weighted:
            loss, slope = loss * target, slope * target
        of_zero, slope_of_zero = self.negative(z, False)
        none = target == 0  # NaN is not
        return torch.where(none, of_zero, loss), torch.where(none, slope_of_zero, slope)


@MODELS.register_module()
class VarifocalLoss(ImbalanceLoss):
    r"""Varifocal loss: positives count as much as their boxes are worth.

    .. math:: L = -\sum_c \begin{cases}
              w_c\, q_c \left(q_c \log p_c + (1 - q_c) \log(1 - p_c)\right)
              & q_c > 0 \\
              \alpha\, p_c^\gamma \log(1 - p_c) & q_c = 0 \end{cases}

    with the sigmoid p and the quality q, such as the overlap of the box; without
    qualities q is 1. The loss of a positive is least where p = q.

    Args:
        use_sigmoid: Must be True, and stand in the config of dense heads. Default True.
        alpha: Factor of negatives, >= 0. Default 0.75.
        gamma: Exponent of negatives, >= 0. Default 2.
        iou_weighted: Whether the quality is a factor of positives. Default True.
        class_weight: w, weights of the classes where a row has something of them: see
            :class:`imb_det.CrossEntropyLoss`. Default None, 1.
        weight_negatives: Whether the weight of a class also applies to rows without it.
            Default False.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        compiled: Whether to compile the loss; ``'auto'`` does on a GPU. Default
            ``'auto'``.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range; when
            training starts: numbers that do not fit the classes.

    Example:
        >>> import torch
        >>> loss = VarifocalLoss(gamma=0, alpha=1)
        >>> target = torch.tensor([[0.5, 0.0]])
        >>> loss(torch.zeros(1, 2), target, avg_factor=1)  # 1.5 log(2)
        tensor(1.0397)

    Source: Zhang et al., "VarifocalNet: An IoU-aware Dense Object Detector", CVPR 2021,
    equation 2; weights of classes are our own.
    """

    def __init__(
        self,
        use_sigmoid: bool = True,
        alpha: float = 0.75,
        gamma: float = 2.0,
        iou_weighted: bool = True,
        class_weight: ClassWeight = None,
        weight_negatives: bool = False,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        compiled: bool | str = "auto",
    ) -> None:
        name = type(self).__name__
        check_choice(name, "use_sigmoid", use_sigmoid, (True,))
        super().__init__(True, reduction, loss_weight, compiled)
        check_number(name, "alpha", alpha, 0, None)
        check_number(name, "gamma", gamma, 0, None)
        check_choice(name, "iou_weighted", iou_weighted, (True, False))
        check_weighting(name, 1.0, weight_negatives)
        self.alpha = float(alpha)
        self.weight_negatives = weight_negatives
        self.class_weight = class_weight_vector(self, class_weight, False)
        self.element = VarifocalElement(float(gamma), iou_weighted)

    def terms(self, call: Call) -> Terms:
        """Return the element, and the factors of classes and negatives."""
        terms = weighting_terms(
            self, call, self.class_weight, 1.0, self.weight_negatives
        )
        negative = call.cls_score.new_tensor(self.alpha, dtype=torch.float32)
        if isinstance(terms.negative, Tensor):
            negative = negative * terms.negative
        return replace(terms, element=self.element, negative=negative)
