"""What every classification loss of the library shares."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from mmdet.models.losses.utils import weight_reduce_loss
from torch import Tensor, nn

from imb_det.core.checks import check_choice, check_inputs, check_number

from .compilation import compiled as compile_function
from .elements import FocalElement
from .one_pass import Element, attach_gradient, compute_dtype, sigmoid_pass

__all__ = ["ImbalanceLoss"]

REDUCTIONS = ("none", "mean", "sum")


class ImbalanceLoss(nn.Module):
    """Base of the classification losses: right in RoI, dense and DETR heads.

    A loss is an element loss (:meth:`prepare` for sigmoid, :meth:`softmax_element`
    for softmax) and factors of classes (:meth:`class_factors`); everything else is
    here, once: targets, weights, reduction, and the activation that heads predict
    with, which is the one that is trained.

    With sigmoid, a head has C channels and background is all zeros. With softmax it
    has C + 1 channels, the last one background.

    Args:
        use_sigmoid: Whether classes are independent (sigmoid) or exclude each other
            (softmax). Dense heads read this from the config, so it must stand there.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        compiled: Whether to compile the sigmoid loss with ``torch.compile``; without
            a compiler it warns once and runs eagerly. Default False.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range.
    """

    # BBoxHead trains by one of these flags and predicts by another: all or none.
    custom_cls_channels = True
    custom_activation = True
    custom_accuracy = True

    #: Whether the loss has a normaliser of its own and leaves ``avg_factor`` aside.
    own_normaliser = False

    def __init__(
        self,
        use_sigmoid: bool,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_choice(name, "use_sigmoid", use_sigmoid, (True, False))
        check_choice(name, "reduction", reduction, REDUCTIONS)
        check_choice(name, "compiled", compiled, (True, False))
        check_number(name, "loss_weight", loss_weight, 0, None)
        self.use_sigmoid = use_sigmoid
        self.reduction = reduction
        self.loss_weight = loss_weight
        self.compiled = compiled
        self.roi_channels: int | None = None  # what an RoI head has asked for

    # What a loss defines.

    def prepare(
        self, cls_score: Tensor, label: Tensor, weight: Tensor | None, learn: bool
    ) -> tuple[Element, Tensor | None]:
        """Return the sigmoid loss of a negative, and the loss's own normaliser.

        By default binary cross entropy, and None: divided by ``avg_factor``.

        Args:
            cls_score: Logits, (N, C).
            label: Classes (N,) or targets (N, C).
            weight: Factors, (N,), (N, C) or None.
            learn: Whether this is a call of a training step, from which running
                statistics are to learn, and no extra call of a sampler.
        """
        return FocalElement(0.0), None

    def softmax_element(self, nll: Tensor) -> Tensor:
        """Return the softmax loss for -log(probability of the class)."""
        return nll

    def class_factors(self, like: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Return factors of positives and negatives, scalar or (C,), or None.

        Softmax takes the first, with one entry a channel, background included.

        Args:
            like: Logits, for the device and the number of classes.
        """
        return None, None

    # What heads ask for.

    def get_cls_channels(self, num_classes: int) -> int:
        """Return the channels of an RoI head: C for sigmoid, C + 1 for softmax."""
        # Only RoI heads ask. They drop the last column of the activation.
        self.roi_channels = num_classes if self.use_sigmoid else num_classes + 1
        return self.roi_channels

    @property
    def in_roi_head(self) -> bool:
        """Whether an RoI head has asked for the number of its channels."""
        return self.roi_channels is not None

    def get_activation(self, cls_score: Tensor) -> Tensor:
        """Return the probabilities that the head predicts with.

        Args:
            cls_score: Logits, (N, channels).

        Returns:
            (N, C + 1) in RoI heads, with sigmoid a zero for background. (N, C) in
            dense heads, where every column is a class.
        """
        if self.use_sigmoid:
            scores = cls_score.sigmoid()
            return F.pad(scores, (0, 1)) if self.in_roi_head else scores
        scores = cls_score.softmax(-1)
        return scores if self.in_roi_head else scores[..., :-1]

    def get_accuracy(self, cls_score: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the share of rows whose best class is theirs, in per cent.

        With sigmoid, a row without a probability above 0.5 is taken for background.

        Args:
            cls_score: Logits, (N, channels).
            labels: Class of each row, int (N,), background C.

        Returns:
            ``acc``, float (1,); 0 without rows.
        """
        if len(labels) == 0:
            return {"acc": cls_score.new_zeros(1)}
        best, predicted = cls_score.max(1)
        if self.use_sigmoid:
            predicted = torch.where(best > 0, predicted, cls_score.size(1))
        return {"acc": (predicted == labels).float().mean()[None] * 100}

    # The path of every call.

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
            cls_score: Logits, float (N, channels).
            label: Class of each row, int (N,), background C, ignored below 0; or
                one-hot or soft targets (N, channels).
            weight: Factor of rows, float (N,); with sigmoid also of elements, (N, C)
                or (N * C,).
            avg_factor: Number that the sum of the loss is divided by in place of the
                number of rows or elements; only with ``'mean'``.
            reduction_override: Reduction of this call. With ``'none'`` statistics
                are left alone.
            **kwargs: Not used; some heads pass more.

        Returns:
            Scalar; with ``'none'`` (N, C) for sigmoid, but (N,) in RoI heads and for
            softmax, where samplers choose rows by their loss.

        Raises:
            ValueError: Shapes or labels that do not fit.
        """
        name = type(self).__name__
        check_choice(
            name, "reduction_override", reduction_override, (None, *REDUCTIONS)
        )
        reduction = reduction_override or self.reduction
        weight = check_inputs(name, cls_score, label, weight, self.use_sigmoid)
        if self.roi_channels not in (None, cls_score.size(1)):
            raise ValueError(
                f"{name}: the RoI head has {cls_score.size(1)} channels, but this loss "
                f"asked for {self.roi_channels}: a head that takes no notice of "
                "`get_cls_channels` predicts with another activation than it trains"
            )
        normaliser = None
        if self.use_sigmoid:
            learn = self.training and torch.is_grad_enabled()
            learn = learn and reduction_override is None
            element, normaliser = self.prepare(cls_score, label, weight, learn)
            per_row = reduction != "none" or not self._elementwise
            loss = self._sigmoid_loss(element, cls_score, label, weight, per_row)
        else:
            loss = self._softmax_loss(cls_score, label, weight)
        if self.own_normaliser:
            avg_factor = normaliser if reduction == "mean" else None
        elif reduction == "mean" and avg_factor is None:
            # mmdet's mean of a sigmoid loss is that of its elements.
            size = cls_score.numel() if self._elementwise else len(loss)
            avg_factor = max(size, 1)
        return self.loss_weight * weight_reduce_loss(loss, None, reduction, avg_factor)

    @property
    def _elementwise(self) -> bool:
        """Whether the loss without reduction is that of elements, not of rows."""
        return self.use_sigmoid and not self.in_roi_head

    def _sigmoid_loss(
        self,
        element: Element,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None,
        per_row: bool,
    ) -> Tensor:
        """Loss of each row or element."""
        run = compile_function(sigmoid_pass) if self.compiled else sigmoid_pass
        with torch.no_grad():
            factors = self.class_factors(cls_score)
            loss, gradient = run(
                element, cls_score.detach(), label, weight, *factors, per_row
            )
        return attach_gradient(cls_score, loss, gradient)

    def _softmax_loss(
        self, cls_score: Tensor, label: Tensor, weight: Tensor | None
    ) -> Tensor:
        """Loss of each row."""
        logits = cls_score.to(compute_dtype(cls_score))
        factor, _ = self.class_factors(cls_score)
        if label.dim() == 1:
            own = label.clamp(min=0).long()
            nll = F.cross_entropy(logits, own, reduction="none")
            loss = torch.where(label >= 0, self.softmax_element(nll), 0)
            loss = loss if factor is None else loss * factor[own]
        else:
            loss = self.softmax_element(-F.log_softmax(logits, 1)) * label
            loss = (loss if factor is None else loss * factor).sum(1)
        return loss if weight is None else loss * weight
