"""Quality focal loss: the score of a class becomes the quality of the box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mmdet.models.losses import QualityFocalLoss as MmdetQualityFocalLoss
from torch import Tensor

from imb_det.core import check_choice, check_number
from imb_det.registry import MODELS
from imb_det.statistics.class_vector import ClassVector

from .base import ImbalanceLoss
from .class_weighted import (
    ClassWeight,
    check_weighting,
    class_weight_vector,
    weighting_terms,
)
from .elements import FocalElement
from .terms import Call, Terms, Values

__all__ = ["QualityFocalLoss"]


@MODELS.register_module()
class QualityFocalLoss(ImbalanceLoss, MmdetQualityFocalLoss):
    r"""Quality focal loss: cross entropy to a quality, less where it is nearly reached.

    .. math:: L = \sum_c w_c\, |q_c - p_c|^\beta
              \left(-q_c \log p_c - (1 - q_c) \log(1 - p_c)\right)

    with the sigmoid p, the quality q of the row in its own class, such as the overlap
    of the box, and q = 0 elsewhere. Without qualities q is 1, and it is focal loss.
    Weights and alphas multiply all of an element, so that it is least where p = q.

    Args:
        use_sigmoid: Must be True, and stand in the config of dense heads. Default True.
        beta: Exponent, >= 0; 0 is cross entropy. Default 2.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``, of rows, as mmdet's. Default
            ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        activated: Whether the head passes probabilities in place of logits, as TOOD
            does. Default False.
        class_weight: w, weights of the classes where a row has something of them: see
            :class:`imb_det.CrossEntropyLoss`. Default None, 1.
        weight_negatives: Whether the weight of a class also applies to rows without it.
            Default False.
        alpha: Share of positives in (0, 1), negatives have 1 - alpha: one, C of them,
            or a dict by class name, others have 0.25. Default None, 1 and 1.
        compiled: Whether to compile the loss; ``'auto'`` does on a GPU. Default
            ``'auto'``.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range; when
            training starts: numbers that do not fit the classes.

    Example:
        >>> import torch
        >>> loss, label = QualityFocalLoss(beta=0), torch.tensor([0])
        >>> loss(torch.zeros(1, 1), (label, torch.tensor([0.5])))
        tensor(0.6931)

    Source: Li et al., "Generalized Focal Loss: Learning Qualified and Distributed
    Bounding Boxes for Dense Object Detection", NeurIPS 2020, equation 2. Weights and
    alphas are our own.
    """

    of_rows = True

    def __init__(
        self,
        use_sigmoid: bool = True,
        beta: float = 2.0,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        activated: bool = False,
        class_weight: ClassWeight = None,
        weight_negatives: bool = False,
        alpha: float | Sequence[float] | Mapping[str, Any] | None = None,
        compiled: bool | str = "auto",
    ) -> None:
        name = type(self).__name__
        check_choice(name, "use_sigmoid", use_sigmoid, (True,))
        super().__init__(True, reduction, loss_weight, compiled)
        check_number(name, "beta", beta, 0, None)
        check_choice(name, "activated", activated, (True, False))
        check_weighting(name, 1.0, weight_negatives)
        self.beta, self.activated = float(beta), activated
        self.weight_negatives = weight_negatives
        self.class_weight = class_weight_vector(self, class_weight, False)
        self.alpha = ClassVector(
            name, "alpha", alpha, default=0.25, high=1, open_ends=True
        )

    def terms(self, call: Call) -> Terms:
        """Return the focal element, and the factors of classes."""
        terms = weighting_terms(
            self, call, self.class_weight, 1.0, self.weight_negatives
        )
        terms = replace(terms, element=FocalElement(self.beta))
        alpha = self.alpha(call.num_classes, call.cls_score)
        if alpha is None:
            return terms
        return replace(
            terms,
            positive=_product(terms.positive, alpha),
            negative=_product(terms.negative, 1 - alpha),
        )


def _product(factor: Values | None, other: Tensor) -> Values:
    return other if factor is None else factor * other  # type: ignore[operator]
