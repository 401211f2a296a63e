"""Losses of several classifiers on the same features, as one loss of a box head."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from imb_det.core import check_choice, is_number
from imb_det.losses import ImbalanceLoss, SigmoidLink, SoftmaxLink
from imb_det.losses.wrapper import inner_loss

__all__ = ["ExpertLosses", "checked_weights", "experts_of"]


class ExpertLosses(nn.Module):
    """A loss for each of K experts, whose outputs lie one after the other.

    Args:
        owner: Name of the head, for messages.
        losses: K classification losses of the library, with the same number of outputs.
        average: What is averaged in prediction, ``'logits'`` or ``'probabilities'``.
        weights: Of the experts in prediction, K numbers >= 0; None for equal ones.

    Raises:
        TypeError, ValueError: Losses that do not go together, or numbers that are none.
    """

    custom_cls_channels = True
    custom_activation = True
    custom_accuracy = True

    weights: Tensor

    def __init__(
        self,
        owner: str,
        losses: Sequence[Any],
        average: str = "logits",
        weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if isinstance(losses, (str, Mapping, nn.Module)) or not losses:
            raise TypeError(
                f"{owner}: `losses` must be a list of losses, such as "
                "`[dict(type='imb_det.CrossEntropyLoss'), "
                f"dict(type='imb_det.LogitAdjustmentLoss')]`, got {losses!r}"
            )
        check_choice(owner, "average", average, ("logits", "probabilities"))
        self.average = average
        self.experts = nn.ModuleList(
            inner_loss(owner, loss, {}, f"losses[{index}]")
            for index, loss in enumerate(losses)
        )
        self._check_alike(owner)
        numbers = checked_weights(owner, weights, len(self.experts))
        # The config gives them: they are no part of checkpoints.
        self.register_buffer("weights", torch.tensor(numbers), persistent=False)

    @property
    def use_sigmoid(self) -> bool:
        """Whether the classes are independent of one another."""
        return bool(self.experts[0].use_sigmoid)

    def get_cls_channels(self, num_classes: int) -> int:
        """Return the outputs of all experts."""
        return sum(e.get_cls_channels(num_classes) for e in self.experts)  # type: ignore[operator]

    def of_experts(self, cls_score: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs of each expert, K times (N, channels)."""
        return cls_score.chunk(len(self.experts), dim=-1)

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
    ) -> dict[str, Tensor]:
        """Return the sum of the losses, and each of them for the log.

        Args:
            cls_score: Outputs of all experts, (N, K * channels).
            label: Class of each row, int (N,), background C.
            weight: Of the rows, (N,). Default None.
            avg_factor: What sums are divided by. Default None.
            reduction_override: Of all losses. Default None.

        Returns:
            ``loss_cls``, and with several experts ``expert0_cls`` and so on.
        """
        found = [
            expert(
                part,
                label,
                weight,
                avg_factor=avg_factor,
                reduction_override=reduction_override,
            )
            for expert, part in zip(
                self.experts, self.of_experts(cls_score), strict=True
            )
        ]
        losses = {"loss_cls": found[0]}
        for loss in found[1:]:
            losses["loss_cls"] = losses["loss_cls"] + loss
        if len(found) > 1:
            for index, loss in enumerate(found):
                losses[f"expert{index}_cls"] = loss.detach()
        return losses

    def get_activation(
        self, cls_score: Tensor, weights: Tensor | None = None
    ) -> Tensor:
        """Return the probabilities that the head predicts with, (N, C + 1).

        Args:
            cls_score: Outputs of all experts, (N, K * channels).
            weights: Of the experts, K numbers with sum 1. Default None, their own.
        """
        weights = self.weights if weights is None else weights
        parts = self.of_experts(cls_score)
        if len(parts) == 1:
            return self.experts[0].get_activation(parts[0])  # type: ignore[operator]
        pairs = list(zip(self.experts, parts, strict=True))
        if self.average == "probabilities":
            scores = [expert.get_activation(part) for expert, part in pairs]  # type: ignore[operator]
            return _mean(weights, scores)
        of_experts = [expert.link.logits(part) for expert, part in pairs]  # type: ignore[union-attr, operator]
        logits = _mean(weights, of_experts)
        link = SigmoidLink() if self.use_sigmoid else SoftmaxLink()
        return link.scores(logits, with_background=True)

    def get_accuracy(self, cls_score: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the share of rows whose best class is theirs, in per cent."""
        if len(self.experts) == 1:
            return self.experts[0].get_accuracy(cls_score, labels)  # type: ignore[operator]
        if not len(labels):
            return {"acc": cls_score.new_zeros(1)}
        scores = self.get_activation(cls_score)
        best = scores.argmax(1)
        if self.use_sigmoid:
            score, found = scores[:, :-1].max(1)
            best = torch.where(score > 0.5, found, scores.size(1) - 1)
        return {"acc": (best == labels).float().mean()[None] * 100}

    def _check_alike(self, owner: str) -> None:
        """Refuse losses whose outputs cannot be averaged."""
        first = self.experts[0].link
        for index, loss in enumerate(self.experts):
            kind, link = type(loss).__name__, loss.link
            where = f"{owner}: `losses[{index}]`, {kind},"
            outputs = (link.extra_channels, link.use_sigmoid)  # type: ignore[union-attr]
            if outputs != (first.extra_channels, first.use_sigmoid):  # type: ignore[union-attr]
                raise ValueError(
                    f"{where} has other outputs than the first one, "
                    f"{type(self.experts[0]).__name__}: all must use one softmax, or "
                    "sigmoids"
                )
            plain = link.one_softmax or type(link) is SigmoidLink  # type: ignore[union-attr]
            if len(self.experts) > 1 and self.average == "logits" and not plain:
                raise ValueError(
                    f"{where} makes probabilities with {type(link).__name__}, whose "
                    "logits have no mean; write `average='probabilities'`"
                )


def _mean(weights: Tensor, of_experts: Sequence[Tensor]) -> Tensor:
    total = torch.zeros_like(of_experts[0])
    for share, part in zip(weights.to(total), of_experts, strict=True):
        total = total + share * part
    return total


def checked_weights(owner: str, weights: Any, number: int) -> list[float]:
    """Return weights of experts with sum 1.

    Args:
        owner: What they are of, for messages.
        weights: As given; None for equal ones.
        number: Of the experts.

    Raises:
        TypeError, ValueError: Something else than ``number`` numbers >= 0, not all 0.
    """
    if weights is None:
        return [1 / number] * number
    if isinstance(weights, (str, Mapping)) or not isinstance(weights, Sequence):
        raise TypeError(
            f"{owner}: `weights` must be a list of numbers, got {weights!r}"
        )
    fine = all(is_number(w) and w >= 0 and math.isfinite(w) for w in weights)
    if len(weights) != number or not fine or not sum(weights) > 0:
        raise ValueError(
            f"{owner}: `weights` must be {number} numbers >= 0, one for each expert "
            f"and not all 0, got {list(weights)!r}"
        )
    return [w / sum(weights) for w in weights]


def experts_of(loss: Any) -> list[ImbalanceLoss]:
    """Return the losses of the library that a head's loss is made of."""
    if isinstance(loss, ExpertLosses):
        return list(loss.experts)  # type: ignore[arg-type]
    return [loss] if isinstance(loss, ImbalanceLoss) else []
