"""ABSGD: rows weighted by the exponential of their own loss."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from imb_det.core import check_choice, check_number
from imb_det.registry import MODELS
from imb_det.statistics.running_log_mean import RunningLogMean

from .reduction import Unreduced
from .terms import Call
from .wrapper import InnerLoss, LossWrapper

__all__ = ["ABSGDLoss"]


@MODELS.register_module()
class ABSGDLoss(LossWrapper):
    r"""Attentional-biased SGD: rows with a large loss weigh more.

    .. math:: L_i = w_i\, \ell_i, \qquad w_i = \frac{e^{\ell_i / \lambda}}{u}, \qquad
              u \leftarrow (1 - \gamma)\, u + \gamma\, \frac{1}{n} \sum_{j=1}^n
              e^{\ell_j / \lambda}

    with the loss :math:`\ell` of rows of another loss, and weights without a gradient,
    which are 1 on average. With :math:`\lambda < 0` rows with a large loss weigh less,
    as for wrong labels; with a large size of :math:`\lambda` all weights are 1. All is
    computed with logarithms.

    The mean is taken over all rows that count in a step, in all calls and on all ranks,
    and u is that of the steps before, so that a step does not depend on how its rows
    are shared among ranks, levels and calls. In the first step all weights are 1.
    Factors of classes and rows of the loss inside are part of :math:`\ell`: they act in
    the exponent too. What it learns from gradients it learns without these weights.

    Args:
        loss: Config of the loss of rows, any of the library.
        lam: :math:`\lambda`, not 0. Default 5.
        gamma: :math:`\gamma`, share of the last step, in (0, 1]. Default 0.9.
        rows: Which rows are weighted, ``'positives'`` or ``'all'``; others keep the
            weight 1. Most rows of a detector are easy background, beside which with
            ``'all'`` every positive is hard. Default ``'positives'``.
        statistics: What u is made of: ``'step'`` the steps before, on all ranks;
            ``'call'`` also the rows of the call itself, as in the authors' code, each
            rank and level for itself. Default ``'step'``.
        max_weight: Largest weight, >= 1. With ``'call'`` none exceeds the number of
            rows over :math:`\gamma`; with ``'step'`` a sudden rise of the loss has no
            other bound. Default 100.
        use_sigmoid: Of ``loss``. Default None, what it says itself.
        reduction: Of ``loss``. Default None, what it says itself.
        loss_weight: Of ``loss``, no part of :math:`\ell`. Default None, what it says
            itself.
        compiled: Of ``loss``. Default None, what it says itself.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range.
        RuntimeError: In the first training step, without ``imb_det.ImbalanceHook``.

    Source: Qi et al., "Attentional-Biased Stochastic Gradient Descent", TMLR 2023,
    algorithm 1, with :math:`\gamma` of the authors' package, whose :math:`\lambda` is
    0.5; their runs on CIFAR have 5 and 3, on Clothing1M -5. Their factor ``abAlpha`` of
    the mean is ``loss_weight=1 / abAlpha`` here. Deviations: u starts as the mean of
    the first step in place of 0, is that of the steps before (``statistics='call'``
    takes the rows themselves in), and weights have an upper limit. Their first stage
    with :math:`\lambda \ge 200`, plain means, is a stage of the training with the loss
    itself.
    """

    def __init__(
        self,
        loss: InnerLoss,
        lam: float = 5.0,
        gamma: float = 0.9,
        rows: str = "positives",
        statistics: str = "step",
        max_weight: float = 100.0,
        use_sigmoid: bool | None = None,
        reduction: str | None = None,
        loss_weight: float | None = None,
        compiled: bool | str | None = None,
    ) -> None:
        super().__init__(loss, use_sigmoid, reduction, loss_weight, compiled)
        name = type(self).__name__
        check_number(name, "lam", lam, -math.inf, None)
        if lam == 0:
            raise ValueError(f"{name}: `lam` must not be 0; a large one weighs nothing")
        check_number(name, "gamma", gamma, 0, None, open_ends=True)
        check_number(name, "gamma", gamma, 0, 1)
        check_choice(name, "rows", rows, ("positives", "all"))
        check_choice(name, "statistics", statistics, ("step", "call"))
        check_number(name, "max_weight", max_weight, 1, None)
        self.lam = float(lam)
        self.all_rows = rows == "all"
        self.per_call = statistics == "call"
        self.max_weight = float(max_weight)
        self.normaliser = RunningLogMean(float(gamma))

    def unreduced(self, cls_score: Tensor, call: Call, per_row: bool) -> Unreduced:
        """Return the weighted loss."""
        found = self.loss.unreduced(cls_score, call, per_row)
        loss = found.loss
        with torch.no_grad():
            weight = self._weights(loss if loss.dim() == 1 else loss.sum(1), call)
        if loss.dim() == 2:
            weight = weight[:, None]
        return found._replace(loss=loss * weight)

    def _weights(self, loss: Tensor, call: Call) -> Tensor:
        """Return the weight of each row, (N,), and learn from them."""
        weighted = call.is_counted
        if not self.all_rows:
            weighted = weighted & ~call.is_background
        exponent = loss.double() / self.lam
        log_u = self.normaliser.value.to(loss.device)
        if self.per_call:
            log_u = self.normaliser.blended(exponent, weighted)
        if call.learn:
            self.normaliser.add_rows(exponent, weighted)
        if not self.per_call:
            weighted = weighted & self.normaliser.known.to(loss.device)
        size = (exponent - log_u).clamp(max=math.log(self.max_weight)).exp()
        return torch.where(weighted, size, 1.0).to(loss.dtype)
