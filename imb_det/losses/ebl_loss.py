"""Equilibrium loss: classes that score low get a wider margin."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from imb_det.core import check_choice, check_number
from imb_det.registry import MODELS
from imb_det.statistics.class_stats import ClassStats
from imb_det.statistics.counted_means import CountedMeans

from .base import ImbalanceLoss
from .observed import Observed
from .terms import Call, Terms

__all__ = ["EBLLoss"]

# A score that float32 rounds to 0 would have no logarithm.
_LEAST = 1e-10


@MODELS.register_module()
class EBLLoss(ImbalanceLoss):
    r"""Softmax of logits that are shifted by the mean score of their class so far.

    .. math:: L = -\log \frac{s_y e^{z_y}}{\sum_k s_k e^{z_k}}, \qquad
              s_c \leftarrow a^{k_c} s_c + (1 - a^{k_c})\, \bar{p}_c

    where :math:`\bar p_c` is the mean probability, by the plain softmax, that the
    :math:`k_c` rows of class c in a step gave it, on all ranks. A class that scores
    lower than others has to exceed them by :math:`\log(s_j / s_y)`, until it no longer
    does. It is trained so, and predicts with the plain softmax.

    Args:
        momentum: Share a of the past for each row, in [0, 1). Default 0.9.
        init_score: s of all classes before their first row, in (0, 1). Default 0.01.
        bg_score: s of background, which stays, in (0, 1). Default 0.01.
        use_sigmoid: Must be False. Default False.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        compiled: Whether to compile the loss; ``'auto'`` does on a GPU. Default
            ``'auto'``.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range.
        RuntimeError: In the first training step, without ``imb_det.ImbalanceHook``.

    Source: Feng et al., "Exploring Classification Equilibrium in Long-Tailed Object
    Detection" (LOCE), ICCV 2021, equations 3 to 6. Deviations: a row counts as one,
    where the authors first average the rows of an object; scores of a step move s after
    it, not within it; s is at least 1e-10. The authors also fill s, before they train,
    with a pass over images of all classes, and add features of rare classes from a
    memory to each batch (memory-augmented feature sampling); neither is here. They
    train the classifiers of boxes, RPN and mask head alone, in 6 epochs, from a
    baseline of 24.
    """

    observes = True

    def __init__(
        self,
        momentum: float = 0.9,
        init_score: float = 0.01,
        bg_score: float = 0.01,
        use_sigmoid: bool = False,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        compiled: bool | str = "auto",
    ) -> None:
        name = type(self).__name__
        check_choice(name, "use_sigmoid", use_sigmoid, (False,))
        super().__init__(False, reduction, loss_weight, compiled)
        check_number(name, "momentum", momentum, 0, 1)
        if momentum == 1:
            raise ValueError(f"{name}: `momentum` must be below 1, got {momentum!r}")
        check_number(name, "init_score", init_score, 0, 1, open_ends=True)
        check_number(name, "bg_score", bg_score, 0, 1, open_ends=True)
        self.log_background = math.log(bg_score)
        self.scores = CountedMeans(None, float(momentum), float(init_score))

    def set_class_stats(self, stats: ClassStats) -> None:
        """Learn the number of classes."""
        self.scores.resize(stats.num_classes)

    def terms(self, call: Call) -> Terms:
        """Return the logarithms of the scores."""
        scores = self.scores.value
        if len(scores) == 0:  # nobody has told the number of classes
            scores = scores.new_full((call.num_classes,), self.scores.start)
        log_score = scores.clamp(min=_LEAST).log()
        background = log_score.new_full((1,), self.log_background)
        return Terms(offset=torch.cat([log_score, background]))

    def observe(self, call: Call, seen: Observed, factor: Tensor | float) -> None:
        """Learn the scores of the rows of each class."""
        classes = call.num_classes
        self.scores.add(torch.cat([seen.own_score[:classes], seen.rows[:classes]]))
