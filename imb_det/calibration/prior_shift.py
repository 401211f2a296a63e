"""Calibrators that take the class prior off the logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from imb_det.core import check_number
from imb_det.registry import MODELS

from .counts import count_vector, counts_for
from .logit_calibrator import LogitCalibrator, times_probability

__all__ = ["NorCal", "PostHocLogitAdjustment", "PriorThreshold"]

Counts = str | Sequence[float] | Mapping[str, float]


@MODELS.register_module()
class PostHocLogitAdjustment(LogitCalibrator):
    r"""Logit adjustment after training.

    .. math:: z'_c = z_c - \tau \log (C \pi_c), \qquad \pi_c = n_c / \sum_k n_k

    A class with the mean number of examples stays as it is. In a head of sigmoids the
    ranking of the detections of each class is the same before and after, unless scores
    are multiplied by others, such as centerness; AP changes by what the least score and
    the limits on the number of detections cut off, and no more.

    Args:
        tau: :math:`\tau`, >= 0; 1 is consistent for the balanced error. Default 1.
        counts: n: ``'instances'`` or ``'images'`` of the training set, or C numbers
            > 0, as a list or by class name. Default ``'instances'``.
        min_count: What a class counts as at least; None refuses classes without
            examples. Default None.

    Raises:
        TypeError, ValueError: An argument out of range; when counts come: a class
            without examples.

    Example:
        >>> calibrator = PostHocLogitAdjustment(counts=[3, 1])
        >>> calibrator(torch.zeros(1, 2), exclusive=True)
        tensor([[-0.4055,  0.6931]])

    Source: Menon et al., "Long-tail learning via logit adjustment", ICLR 2021. The
    factor C is our own: background, which theirs has not, keeps its logit, and so
    keeps its standing among classes that are equally frequent.
    """

    def __init__(
        self,
        tau: float = 1.0,
        counts: Counts = "instances",
        min_count: float | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_number(name, "tau", tau, 0, None)
        self.tau = tau
        self.counts = count_vector(name, counts, min_count)

    def affine(self, num_classes: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return 1 and the summand."""
        counts = counts_for(self.counts, num_classes, like)
        return like.new_ones(()), -self.tau * (counts / counts.mean()).log()


@MODELS.register_module()
class PriorThreshold(PostHocLogitAdjustment):
    r"""Probabilities over priors, :math:`p_c / (C \pi_c)`, among all classes.

    It is :class:`PostHocLogitAdjustment` with :math:`\tau = 1`, under the name of the
    systematic study.

    Args:
        counts: See :class:`PostHocLogitAdjustment`. Default ``'instances'``.
        min_count: See :class:`PostHocLogitAdjustment`. Default None.

    Example:
        >>> PriorThreshold(counts=[3, 1])(torch.zeros(1, 2), exclusive=True)
        tensor([[-0.4055,  0.6931]])

    Source: Buda et al., "A systematic study of the class imbalance problem in
    convolutional neural networks", Neural Networks 2018, thresholding; normalised with
    background among the classes, of which theirs has none.
    """

    def __init__(
        self, counts: Counts = "instances", min_count: float | None = None
    ) -> None:
        super().__init__(1.0, counts, min_count)


@MODELS.register_module()
class NorCal(LogitCalibrator):
    r"""Normalised calibration of the classes against background.

    .. math:: p'_c = \frac{e^{z_c} / n_c^\gamma}
              {\sum_k e^{z_k} / n_k^\gamma + e^{z_{bg}}}

    and with independent sigmoids :math:`p'_c = p_c / n_c^\gamma`.

    Args:
        gamma: :math:`\gamma`, >= 0; 0 changes nothing. It is to be tuned, with
            ``tools/calibrate.py``. Default 0.5.
        counts: n: ``'images'`` or ``'instances'`` of the training set, or C numbers
            > 0, as a list or by class name; at least 1 with sigmoids. Default
            ``'images'``.
        min_count: What a class counts as at least; None refuses classes without
            examples. Default None.

    Raises:
        TypeError, ValueError: An argument out of range; when counts come: a class
            without examples.

    Example:
        >>> calibrator = NorCal(gamma=1.0, counts=[4, 1])
        >>> calibrator(torch.zeros(1, 2), exclusive=False).sigmoid()
        tensor([[0.1250, 0.5000]])

    Source: Pan et al., "On Model Calibration for Long-Tailed Object Detection and
    Instance Segmentation", NeurIPS 2021. Sigmoids are our own.
    """

    def __init__(
        self,
        gamma: float = 0.5,
        counts: Counts = "images",
        min_count: float | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_number(name, "gamma", gamma, 0, None)
        self.gamma = gamma
        self._is_checked = False
        self.counts = count_vector(name, counts, min_count)

    def affine(self, num_classes: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return 1 and the summand."""
        counts = counts_for(self.counts, num_classes, like)
        return like.new_ones(()), -self.gamma * counts.log()

    def of_sigmoid(self, logits: Tensor) -> Tensor:
        """Change logits of independent classes, (..., C)."""
        if self.gamma == 0:
            return logits
        _, log_factor = self.affine(logits.size(-1), logits)
        # Once: no other prediction waits for numbers of a GPU.
        if not self._is_checked and log_factor.max() > 0:
            raise ValueError(
                "NorCal: `counts` below 1 would make probabilities of sigmoids larger; "
                f"the least is {torch.exp(-log_factor.max() / self.gamma):g}"
            )
        self._is_checked = True
        return times_probability(logits, log_factor)
