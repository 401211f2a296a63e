"""Seesaw loss: rare classes pushed down less, and where they are mistaken, more."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from imb_det.core import check_choice, check_number
from imb_det.registry import MODELS
from imb_det.statistics.class_stats import ClassStats
from imb_det.statistics.running_stats import RunningStats

from .base import ImbalanceLoss
from .links import SoftmaxWithObjectnessLink
from .terms import Call, Terms

__all__ = ["SeesawLoss"]


@MODELS.register_module()
class SeesawLoss(ImbalanceLoss):
    r"""Seesaw loss of the classes, and cross entropy of objectness.

    .. math:: L_i = -\log \frac{e^{z_i}}{e^{z_i} + \sum_{j \ne i}
                    M_{ij} C_{ij}\, e^{z_j}}, \quad
              M_{ij} = \min\left(1, n_j / n_i\right)^p, \quad
              C_{ij} = \max\left(1, \sigma_j / \sigma_i\right)^q

    for rows of class i, with the number n of rows of each class so far and the
    probabilities :math:`\sigma`; to which the cross entropy of two outputs for
    foreground and background is added, over all rows. C + 2 outputs; predictions are
    the softmax of the classes times the probability of foreground.

    Args:
        p: Exponent of mitigation M, >= 0. Default 0.8.
        q: Exponent of compensation C, >= 0. Default 2.
        eps: Least :math:`\sigma_i`, > 0. Default 0.01.
        statistics: What n counts: ``'step'`` the rows of the steps before, on all
            ranks; ``'call'`` also those of this step on this rank, the call itself
            among them, as mmdet's class does. Default ``'step'``.
        average: What the loss of the classes is divided by: ``'rows'``, as the loss of
            objectness, or ``'positives'``, the rows of an object. Default ``'rows'``,
            as mmdet's class.
        use_sigmoid: Must be False. Default False.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        compiled: Whether to compile the loss; ``'auto'`` does on a GPU. Default
            ``'auto'``.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range.
        RuntimeError: In the first training step, without ``imb_det.ImbalanceHook``.

    Source: Wang et al., "Seesaw Loss for Long-Tailed Instance Segmentation", CVPR 2021,
    equations 3 to 7. Deviation from mmdet's class, which returns both parts by name:
    one loss, their sum. Rows of weight 0 are not counted.
    """

    def __init__(
        self,
        p: float = 0.8,
        q: float = 2.0,
        eps: float = 1e-2,
        statistics: str = "step",
        average: str = "rows",
        use_sigmoid: bool = False,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        compiled: bool | str = "auto",
    ) -> None:
        name = type(self).__name__
        check_choice(name, "use_sigmoid", use_sigmoid, (False,))
        check_choice(name, "statistics", statistics, ("step", "call"))
        check_choice(name, "average", average, ("rows", "positives"))
        super().__init__(False, reduction, loss_weight, compiled)
        check_number(name, "p", p, 0, None)
        check_number(name, "q", q, 0, None)
        check_number(name, "eps", eps, 0, 1, open_ends=True)
        self.p, self.q, self.log_eps = float(p), float(q), math.log(eps)
        self.per_call = statistics == "call"
        self.average = average
        self.link = SoftmaxWithObjectnessLink()
        self.counts = RunningStats(None, momentum=None)

    def set_class_stats(self, stats: ClassStats) -> None:
        """Learn the number of classes."""
        self.counts.resize(stats.num_classes)

    def terms(self, call: Call) -> Terms:
        """Return the logarithms of mitigation and compensation."""
        rows = self._rows(call)
        count = self.counts.value
        if len(count) == 0:  # nobody has told the number of classes
            count = torch.zeros_like(rows[:-1])
        if call.learn:
            self.counts.add(rows[:-1])
            if self.per_call:
                count = count + self.counts.pending
        log_count = count.clamp(min=1).log()

        def offset(z: Tensor, label: Tensor) -> Tensor:
            own = label.clamp(min=0).long()[:, None]
            balance = log_count.to(z.dtype)
            change = self.p * (balance - balance[own]).clamp(max=0)
            if self.q:
                log_score = z.log_softmax(1)
                mine = log_score.gather(1, own).clamp(min=self.log_eps)
                change = change + self.q * (log_score - mine).clamp(min=0)
            return change.scatter(1, own, 0.0)

        share = None
        if self.average == "positives":
            share = rows.sum() / rows[:-1].sum().clamp(min=1)
        return Terms(offset=offset, positive=share)

    @staticmethod
    def _rows(call: Call) -> Tensor:
        """Return the rows of each class and of background, float64 (C + 1,)."""
        if call.label.dim() == 2:
            raise ValueError("SeesawLoss needs classes as labels, not soft targets")
        is_known = call.is_counted
        # Not beyond the last one, where a GPU would stop: such a label makes NaN.
        column = torch.where(is_known, call.label, 0).long().clamp(max=call.num_classes)
        total = is_known.new_zeros(call.num_classes + 1, dtype=torch.float64)
        return total.index_add(0, column, is_known.double())
