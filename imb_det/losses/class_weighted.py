"""Losses whose classes have weights: the factors, background, and masks."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from mmdet.models.losses.utils import weight_reduce_loss
from torch import Tensor

from imb_det.core.checks import check_choice, check_inputs, check_number

from .base import REDUCTIONS, ImbalanceLoss
from .class_sized import ClassSized
from .one_pass import compute_dtype

__all__ = ["ClassWeightedLoss"]


class ClassWeightedLoss(ClassSized, ImbalanceLoss):
    """Base of losses with a weight for each class.

    With softmax, a row has the weight of its class. With sigmoid, the positives of a
    class have it, or the whole column. In mask heads, an instance has it.

    Args:
        use_sigmoid: Sigmoid or softmax.
        use_mask: Whether this is the ``loss_mask`` of a mask head: binary cross
            entropy of the mask of the instance's own class, mean over its pixels.
        bg_weight: Weight of background rows, >= 0.
        weight_negatives: Whether, with sigmoid, the weight of a class also applies
            where the class is absent.
        **kwargs: Of :class:`ImbalanceLoss`.
    """

    class_weight: Tensor | None

    def __init__(
        self,
        use_sigmoid: bool,
        use_mask: bool,
        bg_weight: float,
        weight_negatives: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(use_sigmoid=use_sigmoid, **kwargs)
        name = type(self).__name__
        check_choice(name, "use_mask", use_mask, (True, False))
        check_choice(name, "weight_negatives", weight_negatives, (True, False))
        check_number(name, "bg_weight", bg_weight, 0, None)
        if use_mask and use_sigmoid:
            raise ValueError(
                f"{name}: `use_sigmoid` and `use_mask` exclude each other; a mask loss "
                "is sigmoid by itself"
            )
        self.use_mask = use_mask
        self.bg_weight = bg_weight
        self.weight_negatives = weight_negatives

    def weights(self, like: Tensor, num_classes: int) -> Tensor | None:
        """Return the weights of the classes, (C,), or None for all 1.

        Args:
            like: Logits, for the device.
            num_classes: Number of classes C of the head.
        """
        raise NotImplementedError

    def class_factors(self, like: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Return the factors of positives and negatives."""
        channels = like.size(1)
        if self.use_sigmoid:
            weights = self.weights(like, channels)
            return weights, weights if self.weight_negatives else None
        weights = self.weights(like, channels - 1)
        if weights is None and self.bg_weight == 1:
            return None, None
        if weights is None:
            weights = like.new_ones(channels - 1, dtype=torch.float32)
        # A factor for every channel, background included, is possible as well.
        if len(weights) < channels:
            weights = F.pad(weights, (0, 1), value=self.bg_weight)
        return weights, None

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Return the loss.

        Args:
            cls_score: Logits, (N, channels); of masks (N, C, h, w), or (N, 1, h, w)
                in a class-agnostic mask head; of their points (N, C, P).
            label: Classes or targets, as :meth:`ImbalanceLoss.forward`; of masks their
                targets in [0, 1], (N, h, w) or (N, P).
            weight: Weights of rows or elements; of masks their classes, int (N,).
            avg_factor: As :meth:`ImbalanceLoss.forward`.
            reduction_override: As :meth:`ImbalanceLoss.forward`.
            **kwargs: Not used.

        Returns:
            Scalar, or with ``'none'`` one number a row or element.
        """
        if self.use_mask:
            return self._mask_loss(
                cls_score, label, weight, avg_factor, reduction_override
            )
        if self.use_sigmoid and self.bg_weight != 1:
            name = type(self).__name__
            weight = check_inputs(name, cls_score, label, weight, True)
            if label.dim() == 1:
                background = label == cls_score.size(1)
            else:
                background = label.sum(1) == 0
            rows = torch.where(background, self.bg_weight, 1.0)
            if weight is None:
                weight = rows
            else:
                weight = weight * (rows if weight.dim() == 1 else rows[:, None])
        return super().forward(
            cls_score, label, weight, avg_factor, reduction_override, **kwargs
        )

    def _mask_loss(
        self,
        pred: Tensor,
        target: Tensor,
        labels: Tensor | None,
        avg_factor: float | Tensor | None,
        reduction_override: str | None,
    ) -> Tensor:
        """Loss of the masks of instances."""
        name = type(self).__name__
        check_choice(
            name, "reduction_override", reduction_override, (None, *REDUCTIONS)
        )
        if (
            pred.dim() < 3
            or target.shape != pred[:, 0].shape
            or labels is None
            or labels.shape != pred.shape[:1]
        ):
            shapes = [None if x is None else tuple(x.shape) for x in (target, labels)]
            raise ValueError(
                f"{name}: masks (N, C, ...), targets (N, ...) and labels (N,) are "
                f"needed, got {tuple(pred.shape)}, {shapes[0]} and {shapes[1]}"
            )
        n, channels = pred.shape[:2]
        known = self.class_weight
        if channels == 1 and known is not None and len(known) > 1:
            raise ValueError(
                f"{name}: a class-agnostic mask head does not tell its loss the "
                "classes, so they cannot have weights; set `class_agnostic=False`"
            )
        weights = self.weights(pred, channels)
        own = pred[torch.arange(n, device=pred.device), labels]
        own = own.to(compute_dtype(pred))
        target = target.to(own.dtype)
        loss = F.binary_cross_entropy_with_logits(own, target, reduction="none")
        loss = loss.flatten(1).mean(1) if n else own.flatten(1).sum(1)
        if weights is not None:
            loss = loss * weights[labels]
        reduction = reduction_override or self.reduction
        if reduction == "mean" and avg_factor is None:
            avg_factor = max(n, 1)
        return self.loss_weight * weight_reduce_loss(loss, None, reduction, avg_factor)
