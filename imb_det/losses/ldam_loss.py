"""Label-distribution-aware margins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch.nn.functional as F

from imb_det.core import check_choice, check_number, refuse_idle
from imb_det.registry import MODELS
from imb_det.statistics.class_counts import COUNTED, check_min_count, positive_counts
from imb_det.statistics.class_stats import ClassStats
from imb_det.statistics.class_vector import ClassVector

from .base import ImbalanceLoss
from .class_weighted import (
    ClassWeight,
    check_weighting,
    class_weight_vector,
    weighting_terms,
)
from .links import ScaledSoftmaxLink
from .terms import Call, Terms

__all__ = ["LDAMLoss"]


@MODELS.register_module()
class LDAMLoss(ImbalanceLoss):
    r"""Softmax of scaled cosines with a margin for each class, wider for rare ones.

    .. math:: L = -\log \frac{e^{s (z_y - m_y)}}
              {e^{s (z_y - m_y)} + \sum_{c \ne y} e^{s z_c}}, \qquad
              m_c = m \left(\frac{\min_k n_k}{n_c}\right)^{1/4}

    Logits must be cosines: use ``imb_det.NormedLinear`` as classifier, with a
    temperature of 1 and without bias; another one is refused before training.
    Predictions are the softmax of :math:`s z`. Background has no margin.

    Args:
        max_margin: Margin m of the rarest class, >= 0. Default 0.5.
        scale: Factor s of the cosines, > 0. Default 30.
        margin: None for margins by the formula; ``'images'`` or ``'instances'``, what
            it counts; or C margins >= 0, as a list or by class name. Default
            ``'instances'``.
        min_count: What a class counts as at least; None refuses classes without
            examples. Default None.
        class_weight: Weights of the classes, in any form that
            :class:`CrossEntropyLoss` takes. Default None.
        bg_weight: Weight of background rows, >= 0. Default 1.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        use_sigmoid: Must be False. Default False.
        compiled: Whether to compile the loss; ``'auto'`` does on a GPU. Default
            ``'auto'``.

    Raises:
        TypeError, ValueError: At construction for an argument; when training starts
            for a class without examples.

    Example:
        >>> import torch
        >>> loss = LDAMLoss(scale=1.0, margin=[0.0, 0.5])
        >>> # log(1 + 2 exp(0.5))
        >>> loss(torch.zeros(1, 3), torch.tensor([1]), avg_factor=1)
        tensor(1.4580)

    Source: Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware
    Margin Loss", NeurIPS 2019, equations 12 and 13. Its deferred re-weighting (DRW) is
    a stage of the training, see ``imb_det.StageHook``, with
    ``class_weight=dict(stages=dict(plain=None, reweighted=dict(
    rule='effective_number', beta=0.9999, max_ratio=None)))``. Deviation: the authors
    divide the weighted sum by the sum of the weights in the batch, and here
    ``avg_factor`` divides it, as in mmdet. Weights by a rule have mean 1 over the
    objects, which comes to the same as the authors' on average; with
    ``normalize='classes'`` over the classes.
    """

    #: Heads need a classifier whose outputs are cosines.
    needs_cosines = True

    link: ScaledSoftmaxLink

    def __init__(
        self,
        max_margin: float = 0.5,
        scale: float = 30.0,
        margin: str | Sequence[float] | Mapping[str, float] = "instances",
        min_count: float | None = None,
        class_weight: ClassWeight = None,
        bg_weight: float = 1.0,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        use_sigmoid: bool = False,
        compiled: bool | str = "auto",
    ) -> None:
        name = type(self).__name__
        check_choice(name, "use_sigmoid", use_sigmoid, (False,))
        super().__init__(False, reduction, loss_weight, compiled)
        check_number(name, "max_margin", max_margin, 0, None)
        check_number(name, "scale", scale, 0, None, open_ends=True)
        check_min_count(name, min_count)
        self.link = ScaledSoftmaxLink(ClassVector(name, "scale", float(scale)))
        rules = {
            by: partial(_margins, name, by, float(max_margin), min_count)
            for by in COUNTED
        }
        self.margin = ClassVector(name, "margin", margin, rules=rules)
        if not self.margin.has_rule:
            refuse_idle(
                name,
                "where `margin` tells the margins",
                max_margin=(max_margin, 0.5),
                min_count=(min_count, None),
            )
        check_weighting(name, bg_weight, False)
        self.bg_weight = bg_weight
        self.class_weight = class_weight_vector(self, class_weight, True)

    def terms(self, call: Call) -> Terms:
        """Return margins and weights of the classes."""
        margin = self.margin(call.num_classes, call.cls_score)
        if margin is not None and margin.dim():
            margin = F.pad(margin, (0, 1))
        weights = weighting_terms(self, call, self.class_weight, self.bg_weight, False)
        return replace(weights, scale=self.link.factor(call.cls_score), margin=margin)


def _margins(
    owner: str,
    by: str,
    max_margin: float,
    min_count: float | None,
    stats: ClassStats,
) -> np.ndarray:
    counts = positive_counts(owner, stats, by, min_count)
    return max_margin * (counts.min() / counts) ** 0.25
