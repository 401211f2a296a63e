"""Losses of masks, with a weight for each instance by its class."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from mmdet.models.losses.utils import weight_reduce_loss
from torch import Tensor, nn

from imb_det.core import check_choice
from imb_det.registry import MODELS

from .call_checks import check_avg_factor
from .caller import in_head
from .class_weighted import ClassWeight, class_weight_vector
from .overlap_loss import OverlapLoss
from .reduction import REDUCTIONS
from .told_instances import ToldInstances

__all__ = ["InstanceWeightedLoss"]


@MODELS.register_module()
class InstanceWeightedLoss(ToldInstances, nn.Module):
    r"""A loss of masks, such as dice, times the weight of each instance's class.

    .. math:: L = \sum_i w_{y_i}\, \ell_i

    for heads that pass masks or points of masks without their classes. The head tells
    the classes before it calls the loss: :class:`imb_det.Mask2FormerHead` and
    :class:`imb_det.MaskFormerHead` do.

    Args:
        loss: Config of the loss of masks, with ``reduction_override``, such as mmdet's
            ``DiceLoss``, or its ``CrossEntropyLoss`` or ``FocalLoss`` with
            ``use_sigmoid=True``. Its ``reduction`` and ``loss_weight`` apply.
        class_weight: w, see :class:`imb_det.CrossEntropyLoss`. Default None, 1.

    Raises:
        TypeError, ValueError: No such loss, or an argument out of range; when training
            starts: numbers that do not fit the classes.

    Example:
        >>> loss_dice = dict(
        ...     type="imb_det.InstanceWeightedLoss",
        ...     loss=dict(type="DiceLoss", naive_dice=True, eps=1.0, loss_weight=5.0),
        ...     class_weight="sqrt_inverse",
        ... )
    """

    def __init__(
        self, loss: Mapping[str, Any] | nn.Module, class_weight: ClassWeight = None
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if not isinstance(loss, (Mapping, nn.Module)):
            raise TypeError(f"{name}: `loss` must be the config of a loss: {loss!r}")
        self.loss = MODELS.build(loss) if isinstance(loss, Mapping) else loss
        if isinstance(self.loss, OverlapLoss):
            kind = type(self.loss).__name__
            raise TypeError(f"{name}: {kind} has a `class_weight` of its own: use that")
        parameters = inspect.signature(self.loss.forward).parameters
        if "reduction_override" not in parameters:
            raise TypeError(
                f"{name}: {type(self.loss).__name__} has no `reduction_override`, so "
                "it has no loss of single instances"
            )
        self.class_weight = class_weight_vector(self, class_weight, False)
        self.reduction = getattr(self.loss, "reduction", "mean")
        check_choice(name, "reduction", self.reduction, REDUCTIONS)

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """Return the loss.

        Args:
            pred: Masks or points, of N instances one after the other: (N, ...), or
                (N * P, ...).
            target: As the loss inside takes them.
            weight: As the loss inside takes it.
            avg_factor: That the sum is divided by, in place of the number of what the
                loss inside returns.
            reduction_override: Reduction of this call.

        Raises:
            RuntimeError: Nobody has told the classes.
            ValueError: Another number of instances than classes.
        """
        name = type(self).__name__
        check_choice(
            name, "reduction_override", reduction_override, (None, *REDUCTIONS)
        )
        avg_factor = check_avg_factor(name, avg_factor)
        found: Tensor = self.loss(pred, target, weight, reduction_override="none")
        reduction = reduction_override or self.reduction
        if self.weighs_classes:
            number = found.numel()
            found = self._weighted(found, reduction)
            if reduction == "mean" and avg_factor is None:
                return found.sum() / max(number, 1)
        value: Tensor = weight_reduce_loss(found, None, reduction, avg_factor)
        return value

    def _weighted(self, found: Tensor, reduction: str) -> Tensor:
        """Return the losses, or those of instances where they will be added."""
        labels = self.told_labels()
        n = len(labels)
        if found.numel() % n if n else found.numel():
            raise ValueError(
                f"{in_head(type(self).__name__)}: {tuple(found.shape)} losses are not "
                f"those of {n} instances"
            )
        of_each = self.instance_weights(labels, self._num_classes, found)
        if of_each is None:
            return found
        rows = found.reshape(n, found.numel() // max(n, 1))
        if reduction != "none":
            return rows.sum(1) * of_each
        return (rows * of_each[:, None]).reshape(found.shape)
