"""Focal loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imb_det.core import check_choice, check_number
from imb_det.registry import MODELS
from imb_det.statistics import ClassStats
from imb_det.statistics.class_vector import ClassVector
from imb_det.statistics.class_weights import class_weights

from .base import ImbalanceLoss
from .elements import FocalElement
from .terms import Call, Terms

__all__ = ["FocalLoss"]


@MODELS.register_module()
class FocalLoss(ImbalanceLoss):
    r"""Focal loss: easy examples count for little.

    .. math:: L = -\sum_c \left(\alpha_c\, y_c (1 - p_c)^\gamma \log p_c
              + (1 - \alpha_c) (1 - y_c)\, p_c^\gamma \log(1 - p_c)\right)

    with the sigmoid p. Heads divide it by the number of positives.

    Args:
        use_sigmoid: Must be True; the config must say so, as heads read it there.
            Default True.
        gamma: Exponent, >= 0; 0 is binary cross entropy. Default 2.
        alpha: Share of positives, in (0, 1): a number, C numbers in the order of the
            classes, a dict by class name, others have 0.25, None for factors of 1, a
            dict of ``stages``, or ``'auto'``, which raises the share of rare classes:
            :math:`\alpha_c / (1 - \alpha_c) = w_c / 3` with weights of square roots of
            the counts, of mean 1 over the classes, that is 0.25 for balanced data; it
            needs ``imb_det.ImbalanceHook``. Default 0.25.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        activated: Whether the head passes probabilities in place of logits, as TOOD
            does. Default False.
        compiled: Whether to compile the loss; ``'auto'`` does on a GPU. Default
            ``'auto'``.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range; when
            training starts: another number of alphas than classes, which are listed.

    Example:
        >>> import torch
        >>> loss = FocalLoss(gamma=0.0, alpha=0.5)  # half of binary cross entropy
        >>> loss(torch.zeros(1, 2), torch.tensor([0]), avg_factor=1)
        tensor(0.6931)

    Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, equation
    5. Alphas by class and ``'auto'`` are our own. For soft targets, where the paper
    says nothing, it is the quality focal loss, whose least value is at the target.
    """

    def __init__(
        self,
        use_sigmoid: bool = True,
        gamma: float = 2.0,
        alpha: float | Sequence[float] | Mapping[str, Any] | str | None = 0.25,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        activated: bool = False,
        compiled: bool | str = "auto",
    ) -> None:
        super().__init__(use_sigmoid, reduction, loss_weight, compiled)
        name = type(self).__name__
        if not use_sigmoid:
            raise ValueError(
                f"{name}: focal loss is a sigmoid loss, `use_sigmoid` must be True; "
                "for softmax see imb_det.CDBLoss with `gamma`"
            )
        check_number(name, "gamma", gamma, 0, None)
        check_choice(name, "activated", activated, (True, False))
        self.gamma, self.activated = float(gamma), activated
        self.alpha = ClassVector(
            name,
            "alpha",
            alpha,
            rules={"auto": _auto_alpha},
            default=0.25,
            high=1,
            open_ends=True,
        )

    def terms(self, call: Call) -> Terms:
        """Return the focal element, alpha and 1 - alpha."""
        alpha = self.alpha(call.num_classes, call.cls_score)
        if alpha is None:
            return Terms(element=FocalElement(self.gamma))
        return Terms(
            element=FocalElement(self.gamma), positive=alpha, negative=1 - alpha
        )


def _auto_alpha(stats: ClassStats) -> np.ndarray:
    """Return shares of positives by the counts; 0.25 for balanced ones."""
    weights = class_weights(stats, "sqrt_inverse", normalize="classes")
    return weights / (weights + 3)
