"""Losses of mask heads: the mask of an instance's own class."""

from __future__ import annotations

import inspect
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.models.losses.utils import weight_reduce_loss
from torch import Tensor, nn

from imb_det.core import check_choice, check_number
from imb_det.statistics.class_vector import ClassVector, rename_old_numbers

from .call_checks import check_avg_factor, refuse_unknown
from .caller import in_head, instead
from .finite import check_finite
from .number_checks import check_range, check_targets
from .one_pass import SLACK, can_look, compute_dtype
from .reduction import REDUCTIONS

__all__ = ["MaskLoss", "WithMasks"]


class MaskLoss(nn.Module):
    r"""Binary cross entropy of masks; instances have the weight of their class.

    .. math:: L_i = \frac{w_{y_i}}{P} \sum_{p=1}^P \mathrm{BCE}(z_{i, y_i, p}, t_{ip})

    Args:
        class_weight: Weights of the classes.
        reduction: ``'none'``, ``'mean'`` over instances, or ``'sum'``. Default
            ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range.
    """

    use_sigmoid = False  # as mmdet has it: a mask loss is sigmoid by itself
    use_mask = True

    def __init__(
        self,
        class_weight: ClassVector,
        reduction: str = "mean",
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_choice(name, "reduction", reduction, REDUCTIONS)
        check_number(name, "loss_weight", loss_weight, 0, None)
        self.class_weight = class_weight
        self.reduction = reduction
        self.loss_weight = loss_weight

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        labels: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Return the loss.

        Args:
            pred: Logits, float (N, C, h, w), or (N, 1, h, w) in a class-agnostic mask
                head; of points (N, C, P).
            target: Masks in [0, 1], (N, h, w) or (N, P).
            labels: Class of each instance, int (N,) in [0, C).
            avg_factor: Number, finite and >= 0, that the sum is divided by in place of
                N.
            reduction_override: Reduction of this call.
            **kwargs: None are known.

        Returns:
            Scalar, or with ``'none'`` (N,).

        Raises:
            TypeError: An argument that only another loss has.
            ValueError: Shapes or, on a CPU, numbers that do not fit; weights that a
                class-agnostic head cannot use.
            FloatingPointError: As of :class:`~imb_det.losses.ImbalanceLoss`.
        """
        name = type(self).__name__
        check_choice(
            name, "reduction_override", reduction_override, (None, *REDUCTIONS)
        )
        refuse_unknown(name, kwargs)
        avg_factor = check_avg_factor(name, avg_factor)
        if (
            pred.dim() < 3
            or target.shape != pred[:, 0].shape
            or not isinstance(labels, Tensor)
            or labels.shape != pred.shape[:1]
            or labels.is_floating_point()
        ):
            found = [
                f"{x.dtype} {tuple(x.shape)}" if isinstance(x, Tensor) else x
                for x in (pred, target, labels)
            ]
            raise ValueError(
                f"{in_head(name)}: masks (N, C, ...), targets (N, ...) and labels, "
                f"int (N,), are needed, got {found[0]}, {found[1]} and {found[2]}; "
                f"{instead(name)}"
            )
        n, channels = pred.shape[:2]
        known = self.class_weight.value
        if channels == 1 and known is not None and known.dim() and len(known) > 1:
            raise ValueError(
                f"{name}: a class-agnostic mask head does not tell its loss the "
                "classes, so they cannot have weights; set `class_agnostic=False`"
            )
        labels = labels.long()  # bytes would be taken for a mask
        check_range(name, labels, channels, with_background=False)
        check_targets(name, "target", target)
        if not can_look(labels):  # an index out of range would stop a GPU
            inside = (labels >= 0) & (labels < channels)
            labels = torch.where(inside, labels, 0)
        weights = self.class_weight(channels, pred)
        own = pred[torch.arange(n, device=pred.device), labels]
        own = own.to(compute_dtype(pred))
        target = target.to(own.dtype)
        if not can_look(labels):
            fits = (target >= -SLACK) & (target <= 1 + SLACK)
            fits &= inside.view(-1, *[1] * (target.dim() - 1))
            target = torch.where(fits, target, torch.nan)
        loss = F.binary_cross_entropy_with_logits(own, target, reduction="none")
        loss = loss.flatten(1).mean(1) if n else own.flatten(1).sum(1)
        if weights is not None:
            loss = loss * (weights[labels] if weights.dim() else weights)
        reduction = reduction_override or self.reduction
        if reduction == "mean" and avg_factor is None:
            avg_factor = max(n, 1)
        value = weight_reduce_loss(loss, None, reduction, avg_factor)
        value = self.loss_weight * value
        check_finite(name, value, own, dtype=pred.dtype)
        return value

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any
    ) -> None:
        rename_old_numbers(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)


class WithMasks:
    """Mixin of losses that stand for one of masks with ``use_mask=True``.

    mmdet's configs have it so: one class for boxes and masks.
    """

    #: Loss of masks that it stands for; other arguments, and all of them by name.
    of_masks: type[MaskLoss]

    def __new__(
        cls,
        use_sigmoid: bool = False,
        use_mask: bool = False,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Make the loss of a mask head where the config says so.

        Raises:
            TypeError, ValueError: Arguments that a loss of masks does not have.
        """
        name = cls.__name__
        check_choice(name, "use_mask", use_mask, (True, False))
        if not use_mask:
            return super().__new__(cls)
        if use_sigmoid:
            raise ValueError(
                f"{name}: `use_sigmoid` and `use_mask` exclude each other; a mask loss "
                "is sigmoid by itself"
            )
        valid = tuple(inspect.signature(cls.of_masks).parameters)
        unknown = [*args, *(key for key in kwargs if key not in valid)]
        if unknown:
            raise TypeError(
                f"{name}: with `use_mask=True` the arguments are {valid}, by name, got "
                f"{unknown}"
            )
        return cls.of_masks(**kwargs)
