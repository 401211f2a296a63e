"""What losses of masks as wholes have in common."""

from __future__ import annotations

from typing import Any

import torch
from mmdet.models.losses.utils import weight_reduce_loss
from torch import Tensor, nn

from imb_det.core import check_choice, check_number

from .call_checks import check_avg_factor, refuse_unknown
from .caller import in_head
from .class_weighted import ClassWeight, class_weight_vector
from .finite import check_finite
from .mask_rows import MaskRows, mask_rows
from .number_checks import check_probabilities, check_targets
from .one_pass import (
    attach_gradient,
    checked_targets,
    chunks,
    compute_dtype,
    gradient_dtype,
)
from .reduction import REDUCTIONS
from .semantic_maps import class_maps
from .told_instances import ToldInstances

__all__ = ["OverlapLoss"]


class OverlapLoss(ToldInstances, nn.Module):
    r"""Base of losses that look at a mask as a whole, with weights of classes.

    .. math:: L = \frac{1}{N} \sum_i w_{y_i}\, \ell(p_i, t_i)

    over N instances. With ``use_sigmoid=False``, in semantic heads, the masks are those
    of the classes in all pixels together, p their softmax, and N is the number of
    classes that are there; a class that is not has no loss.

    A subclass has :meth:`rows`, the loss of each mask with its derivative.

    Args:
        use_sigmoid: True for masks of instances, False for maps of classes. Default
            True.
        activate: Whether predictions are logits. False for the probabilities of
            ``DecoupledSOLOHead`` and ``DynamicMaskHead``. Default True.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        class_weight: w, see :class:`imb_det.CrossEntropyLoss`. Default None, 1.
        ignore_index: Label of pixels that do not count, in semantic heads; None for
            none. Default 255.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range.
    """

    #: Whether it goes by where in the mask a pixel is.
    needs_maps = False

    def __init__(
        self,
        use_sigmoid: bool = True,
        activate: bool = True,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        class_weight: ClassWeight = None,
        ignore_index: int | None = 255,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        for key, value in (("use_sigmoid", use_sigmoid), ("activate", activate)):
            check_choice(name, key, value, (True, False))
        check_choice(name, "reduction", reduction, REDUCTIONS)
        check_number(name, "loss_weight", loss_weight, 0, None)
        if not (use_sigmoid or activate):
            raise ValueError(
                f"{name}: `activate=False` is for masks; heads of maps pass logits"
            )
        if ignore_index is not None and type(ignore_index) is not int:
            raise TypeError(
                f"{name}: `ignore_index` must be an int or None, got {ignore_index!r}"
            )
        self.use_sigmoid, self.activate = use_sigmoid, activate
        self.reduction, self.loss_weight = reduction, loss_weight
        self.ignore_index = ignore_index
        self.class_weight = class_weight_vector(self, class_weight, False)

    def rows(self, x: Tensor, target: Tensor, logits: bool) -> tuple[Tensor, Tensor]:
        """Return the losses of masks and their derivatives.

        Args:
            x: Logits or probabilities, float32 or float64 (N, ...).
            target: Masks in [0, 1], of the same type and shape.
            logits: Whether ``x`` are logits.

        Returns:
            Losses (N,), and their derivatives by ``x``, (N, ...).
        """
        raise NotImplementedError

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Return the loss.

        Args:
            pred: Masks or points of N instances, float (N, ...); (N, C, ...) in RoI
                heads; (N * P,), or (N * P, 1) with 1 - target, in ``loss_mask`` of
                MaskFormer's heads, where each of the P points of an instance has its
                loss. In semantic heads logits (M, C) or (N, C, ...).
            target: Masks in [0, 1] of the same shape, without C; in semantic heads
                classes, int (M,) or (N, ...).
            weight: Factors of the instances, float (N,), >= 0; with (N, C, ...) their
                classes, int (N,) in [0, C).
            avg_factor: Number, finite and >= 0, that the sum is divided by.
            reduction_override: Reduction of this call.
            **kwargs: None are known.

        Returns:
            Scalar, or with ``'none'`` (N,), (N * P,) or (C,).

        Raises:
            TypeError: An argument that only another loss has.
            ValueError: Shapes or, on a CPU, numbers that do not fit.
            RuntimeError: The head has not told the classes of the instances.
            FloatingPointError: As of :class:`~imb_det.losses.ImbalanceLoss`.
        """
        name = type(self).__name__
        check_choice(
            name, "reduction_override", reduction_override, (None, *REDUCTIONS)
        )
        refuse_unknown(name, kwargs)
        avg_factor = check_avg_factor(name, avg_factor)
        reduction = reduction_override or self.reduction
        if self.use_sigmoid:
            masks = mask_rows(name, pred, target, weight, self._labels)
            loss = self._of_instances(masks)
            if masks.points != 1:
                loss = loss[:, None].expand(-1, masks.points).reshape(-1)
        else:
            loss, present = self._of_classes(pred, target, weight)
            if reduction == "mean" and avg_factor is None:
                avg_factor = present.sum().clamp(min=1)
        if reduction == "mean" and avg_factor is None and not len(loss):
            reduction = "sum"  # of nothing
        value: Tensor = weight_reduce_loss(loss, None, reduction, avg_factor)
        value = self.loss_weight * value
        check_finite(name, value, pred)
        return value

    def _of_instances(self, masks: MaskRows) -> Tensor:
        """Return the weighted losses of the instances, (N,)."""
        name = type(self).__name__
        check_targets(name, "target", masks.target)
        if not self.activate:
            check_probabilities(name, "activate=False", masks.pred)
        loss = self._with_gradient(masks.pred, masks.target, self.activate)
        factor = self._factor(masks, loss)
        if factor is not None:
            loss = loss * factor
        if masks.valid is not None:
            loss = torch.where(masks.valid, loss, torch.nan)
        if masks.weight is not None:
            loss = loss * masks.weight.to(loss.dtype)
        return loss

    def _factor(self, masks: MaskRows, like: Tensor) -> Tensor | None:
        """Return the weights of the instances by their class, (N,), or None for 1."""
        if not self.weighs_classes:
            return None
        labels, classes = masks.labels, masks.num_classes
        known = self.class_weight.value
        if labels is None:
            if known is not None and known.dim() == 0:  # the same for all
                return known.to(like)
            labels, classes = self.told_labels(), self._num_classes
            if len(labels) != len(like):
                raise ValueError(
                    f"{in_head(type(self).__name__)}: {len(like)} masks are not those "
                    f"of {len(labels)} instances"
                )
        elif classes == 1 and known is not None and known.numel() > 1:
            raise ValueError(
                f"{type(self).__name__}: a class-agnostic mask head does not tell its "
                "loss the classes, so they cannot have weights; set "
                "`class_agnostic=False`"
            )
        return self.instance_weights(labels, classes, like)

    def _of_classes(
        self, pred: Tensor, target: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return the weighted losses of the classes, and which are there, (C,)."""
        name = type(self).__name__
        share, maps = class_maps(name, pred, target, weight, self.ignore_index)
        present = maps.any(1)
        loss = self._with_gradient(share, maps, False)
        loss = torch.where(present | loss.isnan(), loss, 0)
        weights = self.class_weight(len(maps), loss)
        if weights is not None:
            loss = loss * weights.to(loss.dtype)
        return loss, present

    def _with_gradient(self, x: Tensor, target: Tensor, logits: bool) -> Tensor:
        """Return the losses of masks (N, ...) as functions of them, part by part."""
        flat, dtype = x.flatten(1), compute_dtype(x)
        with torch.no_grad():
            parts = chunks(flat)
            if len(parts) == 1:
                loss, slope = self.rows(
                    x.to(dtype), checked_targets(target.to(dtype)), logits
                )
                slope = slope.reshape(flat.shape).to(gradient_dtype(x))
            else:
                loss = flat.new_empty(len(flat), dtype=dtype)
                slope = torch.empty_like(flat, dtype=gradient_dtype(x))
                for part in parts:
                    masks = checked_targets(target[part].to(dtype))
                    loss[part], found = self.rows(x[part].to(dtype), masks, logits)
                    slope[part] = found.flatten(1)
        return attach_gradient(flat, loss, slope)
