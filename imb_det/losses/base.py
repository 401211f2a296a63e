"""What every classification loss of the library shares."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from mmdet.models.losses.utils import weight_reduce_loss
from torch import Tensor

from imb_det.core import check_choice, check_number
from imb_det.statistics.old_checkpoints import rename_old_numbers

from .call_checks import check_avg_factor, check_inputs, refuse_unknown
from .call_forms import flattened, with_quality
from .caller import in_head
from .compilation import compiled_for, should_compile
from .finite import check_finite
from .for_heads import ForHeads
from .layer_calls import LayerCalls, learns
from .links import SigmoidLink, SoftmaxLink
from .number_checks import impossible_rows
from .observed import Observed
from .one_pass import attach_gradient, can_look, compute_dtype
from .pixels import OfPixels
from .probabilities import logits_of
from .reduction import REDUCTIONS, Unreduced, known_factor, sum_factor
from .soft_targets import as_pair, require_soft
from .terms import Call, Terms

__all__ = ["ImbalanceLoss"]


class ImbalanceLoss(OfPixels, ForHeads):
    """Base of the classification losses, for the RoI, dense and DETR heads of mmdet.

    A loss is a :class:`~imb_det.losses.links.Link`, how logits become probabilities,
    and :class:`~imb_det.losses.terms.Terms`, what it does to logits, elements and rows.
    Everything else is here, once: targets, weights, reduction, gradient, chunks,
    compilation, and the activation that heads predict with, which is the one that is
    trained.

    Args:
        use_sigmoid: Whether classes are independent (sigmoid) or exclude each other
            (softmax). Dense heads read this from the config, so it must stand there.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        compiled: Whether to compile the loss with ``torch.compile``; without a
            compiler it warns once and runs eagerly. ``'auto'`` compiles on a GPU.
            Default ``'auto'``.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range.
    """

    #: Whether the terms have a normaliser, and ``avg_factor`` is left aside.
    own_normaliser = False
    #: Whether :meth:`unreduced` multiplies by the factor of the call; a class that
    #: defines that method says so, or it is False.
    takes_factor = True
    #: Whether :meth:`observe` wants to see what each training call shows.
    observes = False
    #: Whether the loss is that of rows in every head, as mmdet's of qualities is, and
    #: not that of elements in dense heads with a sigmoid.
    of_rows = False
    #: Whether heads pass probabilities in place of logits, as TOOD does.
    activated = False
    #: Whether statistics move with each call of a training, of all layers of a head.
    every_call = False
    #: Which calls statistics learn from; of a head with one layer, all.
    layer_calls: LayerCalls | None = None

    def __init__(
        self,
        use_sigmoid: bool,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        compiled: bool | str = "auto",
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_choice(name, "use_sigmoid", use_sigmoid, (True, False))
        check_choice(name, "reduction", reduction, REDUCTIONS)
        check_choice(name, "compiled", compiled, (True, False, "auto"))
        check_number(name, "loss_weight", loss_weight, 0, None)
        self.link = SigmoidLink() if use_sigmoid else SoftmaxLink()
        self.use_sigmoid = use_sigmoid
        self.reduction = reduction
        self.loss_weight = loss_weight
        self.compiled = compiled
        self.roi_channels = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = vars(cls)
        if "unreduced" in own and "takes_factor" not in own:
            cls.takes_factor = False
        old = ("class_factors", "prepare", "softmax_element")
        if found := [name for name in old if hasattr(cls, name)]:
            raise TypeError(
                f"{cls.__name__} defines {found}, which nothing asks for any "
                "more: return `imb_det.losses.Terms` from `terms(call)` instead"
            )

    # What a loss defines.

    def terms(self, call: Call) -> Terms:
        """Return what the loss does in a call; by default cross entropy."""
        return Terms()

    def observe(self, call: Call, seen: Observed, factor: Tensor | float) -> None:
        """Learn from a training call; losses that want it set :attr:`observes`.

        Args:
            call: The call.
            seen: Sums over its rows.
            factor: By which the sum of the loss is multiplied: ``loss_weight`` over the
                normaliser.
        """

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
            cls_score: Logits, float (N, channels); also (B, N, channels) with targets
                of that shape and weights of rows (B, N, 1) or of elements, as YOLOv3;
                with ``ignore_index`` (B, C, H, W) and labels (B, H, W).
            label: Class of each row, int (N,), background C, ignored below 0; with a
                sigmoid also a pair of these and of qualities, in [0, 1], (N,), which
                the probability of the class is to become in place of 1; or one-hot or
                soft targets in [0, 1], (N, channels).
            weight: Factor of rows, float (N,), >= 0; with sigmoid also of elements,
                (N, C) or (N * C,).
            avg_factor: Number, finite and >= 0, that the sum of the loss is divided by
                in place of the number of rows or elements; only with ``'mean'``.
            reduction_override: Reduction of this call. With ``'none'`` statistics
                are left alone.
            **kwargs: None are known.

        Returns:
            Scalar; with ``'none'`` (N, C) for sigmoid, but (N,) in RoI heads and for
            softmax, where samplers choose rows by their loss.

        Raises:
            TypeError: An argument of another kind, or one that only another loss has.
            ValueError: Shapes or, on a CPU, numbers that do not fit. On a GPU the
                latter make the loss NaN.
            FloatingPointError: On a CPU, a loss that is no finite number, unless the
                logits are float16, which mixed precision takes care of.
        """
        name = type(self).__name__
        check_choice(
            name, "reduction_override", reduction_override, (None, *REDUCTIONS)
        )
        refuse_unknown(name, kwargs)
        places: tuple[int, ...] | None = None
        if self.ignore_index is not None:
            cls_score, label, weight, places = self.rows_of(cls_score, label, weight)
        elif cls_score.dim() == 3 and isinstance(label, Tensor) and label.dim() == 3:
            flat = flattened(name, cls_score, label, weight)
            value: Tensor = self(*flat, avg_factor, reduction_override)
            shape = cls_score.shape[: 1 + value.dim()] if value.dim() else ()
            return value.reshape(shape)
        avg_factor = check_avg_factor(name, avg_factor)
        reduction = reduction_override or self.reduction
        num_classes = cls_score.shape[-1] - self.link.extra_channels
        label, quality = with_quality(name, label, self.takes_quality)
        weight = check_inputs(
            name, cls_score, label, weight, self.use_sigmoid, num_classes, quality
        )
        if label.dim() == 2 and self.takes_quality and can_look(label):
            label, quality = as_pair(label)
        if self.activated:
            cls_score = logits_of(name, cls_score)
        if self.roi_channels not in (None, cls_score.size(1)):
            raise ValueError(
                f"{in_head(name)}: the RoI head has {cls_score.size(1)} channels, but "
                f"this loss asked for {self.roi_channels}: a head that takes no notice "
                "of `get_cls_channels` predicts with another activation than it trains"
            )
        learn = learns(self, reduction_override, self.every_call)
        # mmdet's loss without reduction is that of elements with sigmoid.
        elementwise = self.use_sigmoid and not (self.in_roi_head or self.of_rows)
        per_row = reduction != "none" or not elementwise
        if self.own_normaliser:
            avg_factor = None
        elif reduction == "mean" and avg_factor is None:
            size = cls_score.numel() if elementwise else len(cls_score)
            avg_factor = max(size, 1)
            if self.avg_non_ignore:
                avg_factor = (label >= 0).sum().clamp(min=1)
        factor = 1.0
        by_element = weight is not None and weight.dim() == 2  # a pass of their size
        if self.takes_factor and can_look(cls_score) and not by_element:
            factor = known_factor(self.loss_weight, reduction, avg_factor)
        logits = cls_score.detach()
        call = Call(logits, label, weight, num_classes, learn, factor, quality)
        loss, normaliser, told, seen = self.unreduced(cls_score, call, per_row)
        last = num_classes - (self.ignore_index is not None)
        impossible = impossible_rows(label, weight, last)
        if impossible is not None:
            rows = impossible if loss.dim() == 1 else impossible[:, None]
            loss = loss.masked_fill(rows, torch.nan)
        if self.own_normaliser and reduction == "mean":
            avg_factor = normaliser
        if seen is not None:
            divisor = avg_factor if reduction == "mean" else None
            with torch.no_grad():
                self.observe(told, seen, sum_factor(self.loss_weight, divisor))
        if call.factor == 1:
            value = weight_reduce_loss(loss, None, reduction, avg_factor)
            value = self.loss_weight * value
        else:
            value = loss.sum()
        check_finite(name, value, cls_score, label, weight)
        return value if places is None or value.dim() == 0 else value.reshape(places)

    def unreduced(self, cls_score: Tensor, call: Call, per_row: bool) -> Unreduced:
        """Return the loss of rows or elements before reduction, times ``call.factor``.

        Args:
            cls_score: Logits, (N, K), with their graph.
            call: With the same logits; checked.
            per_row: Whether the loss is that of rows.
        """
        name = type(self).__name__
        with torch.no_grad():
            terms = self.terms(call)
        if self.ignore_index is not None:
            terms = terms.without_background(call.num_classes)
        if terms.element is None and self.link.element is not None:
            terms = replace(terms, element=self.link.element)
        if self.use_sigmoid and (call.quality is not None or call.label.dim() == 2):
            require_soft(name, terms.element)
        if call.quality is not None:
            terms = replace(terms, quality=call.quality)
        terms.check(name, *cls_score.shape)
        if not self.own_normaliser:
            terms.refuse("`own_normaliser = False`", "normaliser")
        if call.factor != 1:
            z = call.cls_score
            row = z.new_full((len(z),), call.factor, dtype=compute_dtype(z))
            terms = replace(terms, row=row if terms.row is None else terms.row * row)
        # Of a softmax with soft targets a row has no class to learn of.
        seen_by = call.label.dim() == 1 or self.use_sigmoid
        watch = self.observes and call.learn and seen_by
        loss, seen = self._loss(cls_score, terms, call, per_row, watch)
        if seen is not None and call.factor != 1:
            seen = seen.without(call.factor)
        return Unreduced(loss, terms.normaliser, call, seen)

    def _loss(
        self, cls_score: Tensor, terms: Terms, call: Call, per_row: bool, watch: bool
    ) -> tuple[Tensor, Observed | None]:
        """Return the loss of rows or elements, with its gradient, and what is seen."""
        kernel = self.link.kernel
        if should_compile(self.compiled, cls_score):
            kernel = compiled_for(kernel, self, call, (per_row, terms.form))
        with torch.no_grad():
            loss, slope, seen = kernel(
                terms, call.cls_score, call.label, call.weight, per_row, watch
            )
        return attach_gradient(cls_score, loss, slope), seen

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any
    ) -> None:
        rename_old_numbers(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)
