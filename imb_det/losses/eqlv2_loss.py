"""Equalization loss v2: classes weighted by the gradients that they have had."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from imb_det.core import check_choice, check_number
from imb_det.registry import MODELS

from .base import ImbalanceLoss
from .gradient_ratio import GradientRatio
from .links import RARE_BIAS, SigmoidLink, SigmoidWithObjectnessLink
from .observed import Observed
from .terms import Call, Terms

__all__ = ["EQLv2Loss"]


@MODELS.register_module()
class EQLv2Loss(ImbalanceLoss):
    r"""Equalization loss v2: positives and negatives weighted by their past gradients.

    .. math:: L = -\sum_c \left(q_c\, y_c \log p_c
                  + r_c (1 - y_c) \log (1 - p_c)\right), \quad
              r_c = \frac{1}{1 + e^{-\gamma (g_c - \mu)}}, \quad
              q_c = 1 + \alpha (1 - r_c)

    with the ratio :math:`g_c` of the gradients of positives to those of negatives, both
    after weighting and summed over all steps and ranks before this one. An output for
    background, with weight 1, stands beside the classes, and predictions are
    :math:`p_c (1 - p_{bg})`. All outputs start with a bias of logit(0.001).

    Args:
        gamma: Steepness, > 0. Default 12.
        mu: Ratio at which negatives have half their weight, >= 0. Default 0.8.
        alpha: What positives gain, >= 0. Default 4.
        objectness: Whether there is an output for background. Dense and DETR heads make
            none: write False there. Default True.
        use_sigmoid: Must be True. Default True.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        compiled: Whether to compile the loss; ``'auto'`` does on a GPU. Default
            ``'auto'``.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range.
        RuntimeError: In the first training step, without ``imb_det.ImbalanceHook``.

    Source: Tan et al., "Equalization Loss v2: A New Gradient Balance Approach for
    Long-tailed Object Detection", CVPR 2021, equations 5 to 8; a class without any
    gradient has the ratio 100, as in the authors' code. Deviation: weights of rows and
    ``avg_factor`` count, and so do all ranks.
    """

    observes = True

    def __init__(
        self,
        gamma: float = 12.0,
        mu: float = 0.8,
        alpha: float = 4.0,
        objectness: bool = True,
        use_sigmoid: bool = True,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        compiled: bool | str = "auto",
    ) -> None:
        name = type(self).__name__
        check_choice(name, "use_sigmoid", use_sigmoid, (True,))
        check_choice(name, "objectness", objectness, (True, False))
        super().__init__(True, reduction, loss_weight, compiled)
        check_number(name, "gamma", gamma, 0, None, open_ends=True)
        check_number(name, "mu", mu, 0, None)
        check_number(name, "alpha", alpha, 0, None)
        self.gamma, self.mu, self.alpha = float(gamma), float(mu), float(alpha)
        self.link = (
            SigmoidWithObjectnessLink() if objectness else SigmoidLink(RARE_BIAS)
        )
        self.ratio = GradientRatio(start=100.0)

    def terms(self, call: Call) -> Terms:
        """Return the weights of positives and negatives."""
        ratio = self.ratio(call.num_classes, call.cls_score)
        negative = torch.sigmoid(self.gamma * (ratio - self.mu))
        positive = 1 + self.alpha * (1 - negative)
        pad = (0, self.link.extra_channels)
        return Terms(
            positive=F.pad(positive, pad, value=1.0),
            negative=F.pad(negative, pad, value=1.0),
        )

    def observe(self, call: Call, seen: Observed, factor: Tensor | float) -> None:
        """Add the gradients of the classes."""
        self.ratio.add(seen, call.num_classes)
