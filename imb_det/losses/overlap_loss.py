"""What losses of masks as wholes have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from imb_det.core import check_choice, check_number

from .call_checks import check_avg_factor, refuse_gradients, refuse_unknown
from .caller import in_head
from .class_weighted import ClassWeight, class_weight_vector
from .finite import check_finite
from .mask_rows import MaskRows, mask_rows
from .number_checks import check_probabilities, check_targets
from .one_pass import (
    attach_gradient,
    can_look,
    checked_targets,
    chunks,
    compute_dtype,
    gradient_dtype,
)
from .reduction import REDUCTIONS, sum_factor
from .semantic_maps import class_maps
from .told_instances import ToldInstances

__all__ = ["OverlapLoss"]

_CHUNK = 1 << 18  # pixels
_VOID = 255  # the default label of pixels that do not count


class OverlapLoss(ToldInstances, nn.Module):
    r"""Base of losses that look at a mask as a whole, with weights of classes.

    .. math:: L = \frac{1}{N} \sum_i w_{y_i}\, \ell(p_i, t_i)

    over N instances. With ``use_sigmoid=False``, in semantic heads, the masks are those
    of the classes in all pixels together, p their softmax, and N is the number of
    classes that are there; a class that is not has no loss. On several GPUs each has
    the pixels and classes of its own images.

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

    #: Whether it takes no probabilities: neither those of a head nor of a softmax.
    only_logits = False

    def __init__(
        self,
        use_sigmoid: bool = True,
        activate: bool = True,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        class_weight: ClassWeight = None,
        ignore_index: int | None = _VOID,
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
        if use_sigmoid and ignore_index not in (_VOID, None):
            raise ValueError(
                f"{name}: `ignore_index={ignore_index}` is for maps of classes, with "
                "`use_sigmoid=False`; masks of instances have no such label"
            )
        self.use_sigmoid, self.activate = use_sigmoid, activate
        self.reduction, self.loss_weight = reduction, loss_weight
        self.ignore_index = None if use_sigmoid else ignore_index
        self.class_weight = class_weight_vector(self, class_weight, False)

    def rows(
        self,
        x: Tensor,
        target: Tensor,
        logits: bool,
        factor: Tensor,
        out: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the losses of masks, and their derivatives times a factor.

        Args:
            x: Logits or probabilities, float32 or float64 (N, ...).
            target: Masks in [0, 1], of the same type and shape.
            logits: Whether ``x`` are logits.
            factor: Of the derivatives of each mask, (N,).
            out: Where the derivatives may be written, (N, P); None for new memory.

        Returns:
            Losses (N,), and their derivatives by ``x`` times the factor, (N, P).
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
        refuse_gradients(name, target=target, weight=weight)
        avg_factor = check_avg_factor(name, avg_factor)
        reduction = reduction_override or self.reduction
        if avg_factor is not None and reduction == "sum":
            raise ValueError(
                f"{in_head(name)}: `avg_factor` cannot be used with reduction 'sum'"
            )
        points = 1
        if self.use_sigmoid:
            masks = mask_rows(name, pred, target, weight, self._labels)
            check_targets(name, "target", masks.target)
            if not self.activate:
                check_probabilities(name, "activate=False", masks.pred)
            x, target, points = masks.pred, masks.target, masks.points
            factor = self._of_instances(masks)
            number: int | Tensor = max(len(x), 1)
        else:
            x, target = class_maps(name, pred, target, weight, self.ignore_index)
            factor, number = self._of_classes(target, x)
        if reduction == "mean" and avg_factor is None:
            factor = factor * (self.loss_weight / number)
        elif reduction == "mean":
            factor = factor * (points * sum_factor(self.loss_weight, avg_factor))
        else:
            factor = factor * self.loss_weight
        loss = self._with_gradient(
            x, target, self.activate and self.use_sigmoid, factor
        )
        if reduction == "none":
            value = loss[:, None].expand(-1, points).reshape(-1)
        else:
            value = points * loss.sum() if reduction == "sum" else loss.sum()
        check_finite(name, value, pred)
        return value

    def _of_instances(self, masks: MaskRows) -> Tensor:
        """Return the weights of the instances, (N,)."""
        like = masks.pred.new_ones(len(masks.pred), dtype=compute_dtype(masks.pred))
        found = self._by_class(masks, like)
        factor = like if found is None else found
        if masks.valid is not None:
            factor = torch.where(masks.valid, factor, torch.nan)
        if masks.weight is not None:
            factor = factor * masks.weight.to(factor.dtype)
        return factor

    def _by_class(self, masks: MaskRows, like: Tensor) -> Tensor | None:
        """Return the weights of the instances by their class, (N,), or None for 1."""
        if not self.weighs_classes:
            return None
        labels, classes = masks.labels, masks.num_classes
        known = self.class_weight.value
        if labels is None:
            if known is not None and known.dim() == 0:  # the same for all
                return known.to(like).expand_as(like)
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

    def _of_classes(self, maps: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weights of the classes, 0 where one is not, and how many are."""
        present = maps.any(1)
        weights = self.class_weight(len(maps), share)
        factor = present.to(share.dtype)
        if weights is not None:
            factor = factor * weights.to(share.dtype)
        return factor, present.sum().clamp(min=1)

    def _with_gradient(
        self, x: Tensor, target: Tensor, logits: bool, factor: Tensor
    ) -> Tensor:
        """Return the losses of masks (N, ...) as functions of them, times factors."""
        flat, dtype = x.flatten(1), compute_dtype(x)
        with torch.no_grad():
            slope = torch.empty_like(flat, dtype=gradient_dtype(x))
            parts = _parts(flat)
            losses = []
            for part in parts:
                masks = checked_targets(target[part].to(dtype))
                out = slope[part] if slope.dtype == dtype else None
                loss, found = self.rows(
                    x[part].to(dtype), masks, logits, factor[part], out
                )
                losses.append(loss)
                if len(parts) == 1:
                    slope = found.to(slope.dtype)
                elif found is not out:
                    slope[part] = found
            loss = losses[0] if len(losses) == 1 else torch.cat(losses)
        return attach_gradient(flat, loss * factor, slope)


def _parts(flat: Tensor) -> Sequence[slice | Tensor]:
    """Cut masks so that what a part needs stays in a cache close to the processor."""
    if not can_look(flat) or not flat.numel():
        return chunks(flat)
    step = max(_CHUNK // flat.size(1), 1)
    return [slice(begin, begin + step) for begin in range(0, len(flat), step)]
