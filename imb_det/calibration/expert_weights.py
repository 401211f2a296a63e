"""Weights of the experts of a box head, found on held-out images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor, nn

from imb_det.core import check_number
from imb_det.heads.expert_losses import ExpertLosses, checked_weights
from imb_det.registry import MODELS

__all__ = ["ExpertWeights", "expert_losses", "fit_expert_weights"]

#: Of a logarithm, so that a probability of 0 costs a finite number.
_LEAST = 1e-30


@MODELS.register_module()
class ExpertWeights(nn.Module):
    """Weights of the experts of multi-expert box heads, in prediction.

    They stand in the place of ``weights`` of the heads, see
    :class:`.MultiExpertHead`; of a cascade all heads get the same ones.

    Args:
        weights: One number >= 0 for each expert; they are divided by their sum.

    Raises:
        TypeError, ValueError: No such numbers.

    Source: Zhang et al., "Self-Supervised Aggregation of Diverse Experts", NeurIPS
    2022, where the weights are learnt on the test images without labels; here
    ``tools/calibrate.py`` finds them on held-out images with labels.
    """

    weights: Tensor

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        number = len(weights) if isinstance(weights, Sequence) else 0
        made = checked_weights(type(self).__name__, weights, number)
        # The config gives them: they are no part of checkpoints.
        self.register_buffer("weights", torch.tensor(made), persistent=False)
        self._kept: list[tuple[ExpertLosses, Tensor]] = []

    def attach(self, model: nn.Module) -> None:
        """Let the heads of a detector weigh their experts so.

        Raises:
            TypeError: It has no head with experts.
            ValueError: Its heads have another number of them.
        """
        name = type(self).__name__
        losses = expert_losses(name, model)
        for loss in losses:
            if len(loss.experts) != len(self.weights):
                raise ValueError(
                    f"{name}: `weights` has {len(self.weights)} numbers, but the head "
                    f"has {len(loss.experts)} experts"
                )
        for loss in losses:
            self._kept.append((loss, loss.weights))
            loss.weights = self.weights.to(loss.weights)

    def detach(self) -> None:
        """Give the heads back the weights that they had."""
        while self._kept:
            loss, weights = self._kept.pop()
            loss.weights = weights


def expert_losses(owner: str, model: nn.Module) -> list[ExpertLosses]:
    """Return the losses of the multi-expert heads of a detector.

    Args:
        owner: What needs them, for messages.
        model: The detector.

    Raises:
        TypeError: There is none with several experts.
    """
    found = [
        part
        for part in model.modules()
        if isinstance(part, ExpertLosses) and len(part.experts) > 1
    ]
    if not found:
        raise TypeError(
            f"{owner}: the detector has no head with several experts, such as "
            "imb_det.MultiExpertShared2FCBBoxHead"
        )
    return found


def fit_expert_weights(
    rows: Sequence[tuple[ExpertLosses, Tensor, Tensor]], balance: float = 0.0
) -> list[float]:
    r"""Return the weights of the experts with the least log loss of held-out boxes.

    .. math:: \min_\theta -\sum_i v_{y_i} \log p_{y_i}(x_i; w), \qquad
              w = \mathrm{softmax}(\theta), \quad
              v_c \propto n_c^{-\beta}, \quad \sum_{c} n_c v_c = \sum_{c} n_c

    over boxes as a training samples them, background among them, which counts 1, with
    the probabilities of :class:`.MultiExpertHead`, and with sigmoids the log loss of
    all classes. The sums over c are of the objects of a head, so :math:`\beta` leaves
    the share of background as it is.

    Args:
        rows: For each head: its loss, the outputs of all experts, (N, K * channels),
            and the classes, int (N,), background C; what is below 0 does not count.
        balance: :math:`\beta`, in [0, 1]: 0 for each box alike, which is the loss of
            frequent classes, 1 for each class alike. Default 0.

    Returns:
        K numbers with sum 1.

    Raises:
        TypeError, ValueError: ``balance`` is out of range, or no box matches an object.
    """
    check_number("fit_expert_weights", "balance", balance, 0, 1)
    parts = [_Rows(loss, logits, labels, balance) for loss, logits, labels in rows]
    if not any(part.objects for part in parts):
        raise ValueError("no box of the held-out images matches an object")
    total = sum(len(part.labels) for part in parts)

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        theta = torch.tensor(x, requires_grad=True)
        with torch.enable_grad():
            weights = theta.softmax(0)
            value = torch.stack([part.cost(weights) for part in parts]).sum() / total
            (slope,) = torch.autograd.grad(value, theta)
        return float(value.detach()), slope.numpy()

    experts = len(parts[0].loss.experts)
    bounds = [(-10.0, 10.0)] * experts
    found = minimize(
        loss, np.zeros(experts), jac=True, method="L-BFGS-B", bounds=bounds
    )
    made: list[float] = torch.tensor(found.x).softmax(0).tolist()
    return made


class _Rows:
    """Rows of one head, with what each of them counts."""

    def __init__(
        self, loss: ExpertLosses, logits: Tensor, labels: Tensor, balance: float
    ) -> None:
        keep = labels >= 0
        self.loss, self.logits = loss, logits[keep].double()
        self.labels = labels[keep].cpu()
        # With a softmax and with sigmoids, the last score is that of background.
        scores = loss.get_activation(logits[:1].to(loss.weights))
        self.background = scores.size(1) - 1
        counts = self.labels.bincount(minlength=self.background + 1).double()
        objects = counts[:-1]
        self.objects = int(objects.sum())
        shares = objects.clamp(min=1) ** -balance
        shares = shares * objects.sum() / (objects * shares).sum().clamp(min=_LEAST)
        self.counts_as = torch.cat([shares, shares.new_ones(1)])[self.labels]

    def cost(self, weights: Tensor) -> Tensor:
        """Return the log loss of all rows."""
        device = self.loss.weights.device
        scores = self.loss.get_activation(self.logits.to(device), weights).cpu()
        if self.loss.use_sigmoid:
            hot = nn.functional.one_hot(self.labels, self.background + 1)[:, :-1].bool()
            right = torch.where(hot, scores[:, :-1], 1 - scores[:, :-1])
        else:
            right = scores.gather(1, self.labels[:, None])
        costs = -right.clamp(min=_LEAST).log().sum(1)
        return (self.counts_as * costs).sum()
