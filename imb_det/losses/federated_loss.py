"""Federated loss: only some of the classes are negatives in a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from imb_det.core import check_choice, check_number
from imb_det.registry import MODELS
from imb_det.statistics.class_stats import ClassStats
from imb_det.statistics.class_vector import ClassVector

from .base import ImbalanceLoss
from .elements import FocalElement
from .links import RARE_BIAS, SigmoidLink
from .one_pass import compute_dtype
from .rows import where_counted
from .terms import Call, Terms

__all__ = ["FederatedLoss"]

Weights = str | Sequence[float] | Mapping[str, float]


@MODELS.register_module()
class FederatedLoss(ImbalanceLoss):
    r"""Sigmoid loss in which only classes of the batch, and some more, are negatives.

    .. math:: L = \sum_{c \in S} \mathrm{BCE}(p_c, y_c)

    S holds the classes that the call has rows of, and others, drawn without replacement
    in proportion to :math:`n_c^{power}` of their images, until there are ``num``. Data
    sets of many classes are annotated for some classes in an image only, so that a box
    of another class is no mistake. Outputs start with a bias of logit(0.001).

    Args:
        num: Classes in S, >= 1; more where the batch has more, all where there are
            fewer. Default 50.
        power: Exponent of the number of images, >= 0. Default 0.5.
        weight: ``'images'`` for draws as above, or C numbers >= 0 in proportion to
            which classes are drawn, as a list or by class name. Default ``'images'``.
        gamma: Exponent of the focal form, >= 0; 0 for cross entropy. Default 0.
        alpha: With ``gamma``: weight of positives, in [0, 1]; negatives have
            1 - alpha. Default 0.25.
        seed: Of the draws, the same on all ranks, >= 0. Default 0.
        use_sigmoid: Must be True. Default True.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        compiled: Whether to compile the loss; ``'auto'`` does on a GPU. Default
            ``'auto'``.

    Raises:
        TypeError, ValueError: At construction for an argument; when training starts
            for weights that do not fit the classes.

    Source: Zhou et al., "Probabilistic two-stage detection", 2021, section 5; the focal
    form for DETR heads: Zhou et al., "Detecting Twenty-thousand Classes using
    Image-level Supervision", ECCV 2022. Deviations: background is no class of S and
    counts for none of ``num``; all ranks draw the same order of classes.
    """

    draws: Tensor

    def __init__(
        self,
        num: int = 50,
        power: float = 0.5,
        weight: Weights = "images",
        gamma: float = 0.0,
        alpha: float = 0.25,
        seed: int = 0,
        use_sigmoid: bool = True,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        compiled: bool | str = "auto",
    ) -> None:
        name = type(self).__name__
        check_choice(name, "use_sigmoid", use_sigmoid, (True,))
        super().__init__(True, reduction, loss_weight, compiled)
        for key, value, low in (("num", num, 1), ("seed", seed, 0)):
            check_number(name, key, value, low, None)
            if value != int(value):
                raise TypeError(f"{name}: `{key}` must be a whole number, got {value}")
        check_number(name, "power", power, 0, None)
        check_number(name, "gamma", gamma, 0, None)
        check_number(name, "alpha", alpha, 0, 1)
        self.num, self.seed = int(num), int(seed)
        self.gamma, self.alpha = float(gamma), float(alpha)
        self.link = SigmoidLink(start_bias=RARE_BIAS)
        rule = partial(_weights, float(power))
        self.weight = ClassVector(name, "weight", weight, rules={"images": rule})
        #: Calls of the training so far, which every draw depends on.
        self.register_buffer("draws", torch.zeros((), dtype=torch.long))

    def forget_training(self) -> None:
        """Start the draws anew."""
        self.draws.zero_()

    def terms(self, call: Call) -> Terms:
        """Return the factors of negatives: 1 in S, else 0."""
        chosen = self._chosen(call)
        if not self.gamma:
            return Terms(negative=chosen)
        chosen = chosen.to(compute_dtype(call.cls_score))
        return Terms(
            element=FocalElement(self.gamma),
            positive=chosen.new_full(chosen.shape, self.alpha),
            negative=(1 - self.alpha) * chosen,
        )

    def _chosen(self, call: Call) -> Tensor:
        """Return the classes in S, bool (C,)."""
        classes = call.num_classes
        present = _present(call)
        weight = self.weight(classes, call.cls_score)
        weight = present.new_ones(classes, dtype=torch.float64) * weight
        # The largest of log w + Gumbel noise are a draw without replacement.
        noise = -torch.log(-torch.log(self._uniform(classes, call.cls_score)))
        order = torch.where(present, torch.inf, weight.log() + noise)
        least = order.topk(min(self.num, classes)).values[-1]
        if call.learn:
            self.draws += 1
        return present | ((order >= least) & (weight > 0))

    def _uniform(self, size: int, like: Tensor) -> Tensor:
        """Return numbers in (0, 1) that depend on seed and draw alone.

        A counter-based generator in whole numbers: no state, no reading back, the same
        on every device.
        """
        x = torch.arange(size, device=like.device) + size * self.draws
        x = (x + 1) * 0x2545F491 + self.seed * 0x5851F42D
        for _ in range(3):
            x = (x ^ (x >> 16)) * 0x45D9F3B & 0x7FFFFFFF
        x = x ^ (x >> 16)
        return (x.double() + 0.5) / 2**31


def _present(call: Call) -> Tensor:
    """Return the classes that rows of the call have, bool (C,)."""
    label, classes = call.label, call.num_classes
    counted, _ = where_counted(label, call.weight)
    if label.dim() == 2:
        has = label > 0
        return (has if counted is None else has & counted).any(0)
    is_class = (label >= 0) & (label < classes)
    if counted is not None:
        is_class = is_class & counted.any(1)
    column = torch.where(is_class, label, classes).long()
    seen = torch.zeros(classes + 1, dtype=torch.bool, device=label.device)
    return seen.index_fill(0, column, True)[:-1]


def _weights(power: float, stats: ClassStats) -> np.ndarray:
    return stats.image_count.astype(float) ** power * (stats.image_count > 0)
