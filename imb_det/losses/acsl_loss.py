"""Adaptive class suppression: only classes that are mistaken are pushed down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from imb_det.core import check_choice, check_number
from imb_det.registry import MODELS
from imb_det.statistics.class_stats import ClassStats
from imb_det.statistics.class_vector import ClassVector

from .base import ImbalanceLoss
from .links import SigmoidWithBackgroundLink, logit
from .one_pass import can_look
from .step_draws import StepDraws, drawn_or_mean
from .terms import Call, Terms, is_background

__all__ = ["ACSLLoss"]

#: Share of background rows in which the classes of a group are negatives.
SHARES = {"rare": 0.01, "common": 0.1, "frequent": 1.0}

Rates = str | Sequence[float] | Mapping[str, float]


@MODELS.register_module()
class ACSLLoss(ImbalanceLoss):
    r"""Adaptive class suppression loss: rows push down what they take themselves for.

    .. math:: L = -\sum_c w_c \left(y_c \log p_c + (1 - y_c) \log (1 - p_c)\right)

    In a row of an object, w is 1 for its own class and for every output with
    :math:`p_c \ge \xi`, else 0. In a row of background, w is 1 for the output of
    background, and for a class with a probability that depends on its group. C + 1
    outputs; predictions are the probabilities of the classes.

    Args:
        score_thr: :math:`\xi`, in [0, 1]. Default 0.7.
        rates: Probability of a class to be a negative of a background row: C numbers in
            [0, 1], as a list or by class name, or ``'groups'`` for 0.01 of rare, 0.1 of
            common and 1 of frequent classes. Default ``'groups'``.
        sampled: Whether classes are negatives of a background row as drawn; else all
            have the factor that this is on average. Default True.
        use_sigmoid: Must be True. Default True.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        compiled: Whether to compile the loss; ``'auto'`` does on a GPU. Default
            ``'auto'``.

    Raises:
        TypeError, ValueError: At construction for an argument; when training starts
            for rates that do not fit the classes.
        RuntimeError: With ``sampled``, in the first training step, without
            ``imb_det.ImbalanceHook``.

    Source: Wang et al., "Adaptive Class Suppression Loss for Long-Tail Object
    Detection", CVPR 2021, with the shares of the authors' code. They train the
    classifier alone, from a baseline. Deviation: each class is drawn for itself, with
    the probability of its group, not one exact number of rows for each group.
    """

    def __init__(
        self,
        score_thr: float = 0.7,
        rates: Rates = "groups",
        sampled: bool = True,
        use_sigmoid: bool = True,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        compiled: bool | str = "auto",
    ) -> None:
        name = type(self).__name__
        check_choice(name, "use_sigmoid", use_sigmoid, (True,))
        check_choice(name, "sampled", sampled, (True, False))
        super().__init__(True, reduction, loss_weight, compiled)
        check_number(name, "score_thr", score_thr, 0, 1)
        self.draws = StepDraws(name, seed=0) if sampled else None
        self.least_logit = logit(score_thr)
        self.link = SigmoidWithBackgroundLink()
        self.rates = ClassVector(name, "rates", rates, rules={"groups": _rates}, high=1)

    def terms(self, call: Call) -> Terms:
        """Return the factors of negatives."""
        rates = self.rates(call.num_classes, call.cls_score)
        rates = rates.expand(call.num_classes) if rates.dim() == 0 else rates
        # Of rows of an object, and of background.
        shares = F.pad(rates, (0, 1), value=1.0) * rates.new_tensor([[0.0], [1.0]])
        taken = drawn_or_mean(self.draws, shares, call)

        def negative(z: Tensor, label: Tensor) -> Tensor:
            is_bg = is_background(label, call.num_classes)
            kept = taken(is_bg.long())
            if kept.is_floating_point():
                kept = kept.to(z.dtype)
            if not can_look(z):
                return torch.where(is_bg[:, None], kept, z >= self.least_logit)
            objects = (~is_bg).nonzero().squeeze(1)
            mistaken = (z[objects] >= self.least_logit).to(kept.dtype)
            return kept.index_copy_(0, objects, mistaken)

        return Terms(negative=negative)


def _rates(stats: ClassStats) -> np.ndarray:
    """Return the share of background rows that have each class as a negative."""
    rates = np.ones(stats.num_classes)
    for group, members in stats.groups().items():
        rates[members] = SHARES[group]
    return rates
