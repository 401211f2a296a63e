"""What a loss does to the gradient of its logits, beside a plain one."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from imb_det.statistics.running_stats import RunningStats

from .base import ImbalanceLoss

__all__ = ["LossEffect", "effect_of"]

#: Largest difference of two gradients of length 1 that rounding explains.
_SAME = 1e-4
#: What the class of a loss says of itself, and a plain loss in its place does not.
_OWN = ("every_call", "observes", "own_normaliser", "takes_factor")


@dataclass(frozen=True)
class LossEffect:
    r"""Shares of the gradient with a loss and with the cross entropy of its link.

    Of rows with label y and logits z, a set S has the share
    :math:`\sum_{i: y_i \in S} |g_i|_1 / \sum_i |g_i|_1`, :math:`g = \partial L /
    \partial z`.

    Args:
        rare: Share of rare classes among rows with a class, without and with the loss;
            None where there is no row of a rare class.
        background: Share of rows without a class, without and with the loss.
        changes: Whether the gradients differ, but for a common factor.
    """

    rare: tuple[float, float] | None
    background: tuple[float, float]
    changes: bool


@torch.enable_grad()
def effect_of(
    loss: ImbalanceLoss,
    calls: Iterable[tuple[tuple[Any, ...], Mapping[str, Any]]],
    rare: Tensor,
) -> LossEffect | None:
    """Compare a loss with the cross entropy of its link on the calls of a step.

    The loss itself, its statistics and its caches are left alone.

    Args:
        loss: The loss.
        calls: Positional and named arguments of each call; logits without a graph.
        rare: Labels of rare classes, int64, (r,).

    Returns:
        The effect; None where no call has labels or targets, or a gradient.
    """
    ours, plain = _copied(loss), _plain(loss)
    sums = torch.zeros(2, 3, dtype=torch.float64)  # rare, other classes, background
    dots = torch.zeros(3, dtype=torch.float64)
    for arguments, named in calls:
        label = _labels(loss, arguments, named)
        if label is None:
            continue
        gradients = [_gradient(kind, arguments, named) for kind in (plain, ours)]
        first, second = (g.double().cpu() for g in gradients)
        classes = first.shape[-1] - loss.link.extra_channels
        label = label.cpu()
        is_class = (label >= 0) & (label < classes)
        is_rare = is_class & torch.isin(label, rare.cpu())
        for row, gradient in enumerate((first, second)):
            size = gradient.abs().sum(-1)
            parts = (is_rare, is_class & ~is_rare, label == classes)
            sums[row] += torch.stack([size[part].sum() for part in parts])
        dots += torch.stack(
            [(first * first).sum(), (second * second).sum(), (first * second).sum()]
        )
    if not (sums.sum(1) > 0).all():
        return None
    cosine = dots[2] / (dots[0] * dots[1]).sqrt()
    of_classes = sums[:, :2].sum(1).clamp(min=torch.finfo(sums.dtype).tiny)
    shares = (sums[:, 0] / of_classes).tolist()
    background = (sums[:, 2] / sums.sum(1)).tolist()
    return LossEffect(
        (shares[0], shares[1]) if sums[0, 0] > 0 else None,
        (background[0], background[1]),
        bool((2 - 2 * cosine).clamp(min=0).sqrt() > _SAME),
    )


def _copied(loss: ImbalanceLoss) -> ImbalanceLoss:
    """Return a copy that nobody watches, and whose statistics nobody joins."""
    hooks = [(m, m._forward_hooks, m._forward_pre_hooks) for m in loss.modules()]
    try:
        for module, _, _ in hooks:
            module._forward_hooks = OrderedDict()
            module._forward_pre_hooks = OrderedDict()
        found = copy.deepcopy(loss)
    finally:
        for module, after, before in hooks:
            module._forward_hooks, module._forward_pre_hooks = after, before
    for part in found.modules():
        if isinstance(part, RunningStats):
            part.managed = True
    return found


def _plain(loss: ImbalanceLoss) -> ImbalanceLoss:
    """Return a cross entropy that is called as the loss is, with its link."""
    plain, kind = _copied(loss), type(loss)
    above = kind.__mro__[: kind.__mro__.index(ImbalanceLoss)]
    # What it is for a head stays: the form of its targets, and the link of one inside.
    kept = {
        name: value
        for other in reversed(above)
        for name, value in vars(other).items()
        if isinstance(value, (property, bool)) and name not in _OWN
    }
    plain.__class__ = type("PlainLoss", (ImbalanceLoss,), kept)
    return plain


def _labels(
    loss: ImbalanceLoss, arguments: tuple[Any, ...], named: Mapping[str, Any]
) -> Tensor | None:
    """Return the class of each row; None for targets of another kind."""
    label = arguments[1] if len(arguments) > 1 else named.get("label")
    label = named.get("target", label)
    if isinstance(label, (tuple, list)):
        label = label[0]
    if not isinstance(label, Tensor):
        return None
    shape = arguments[0].shape
    if label.shape == shape:  # one-hot, or qualities
        target, best = label.max(-1)
        return torch.where(target > 0, best, shape[-1] - loss.link.extra_channels)
    is_class = label.dim() == len(shape) - 1 and not label.is_floating_point()
    return label if is_class else None


def _gradient(
    loss: ImbalanceLoss, arguments: tuple[Any, ...], named: Mapping[str, Any]
) -> Tensor:
    """Return the gradient of the logits, (..., K)."""
    logits = arguments[0].detach().clone().requires_grad_()
    value = loss(logits, *arguments[1:], **named).sum()
    (gradient,) = torch.autograd.grad(value, logits)
    return gradient.movedim(1, -1) if gradient.dim() == 4 else gradient  # of maps
