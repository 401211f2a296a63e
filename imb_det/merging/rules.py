"""Rules by which the parameters of several detectors become those of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce

import torch
from torch import Tensor

from imb_det.core import check_number

__all__ = ["DEFAULTS", "KEEP", "RULES", "merge", "rule_of", "ties", "wise_ft"]

Rule = Callable[[Tensor | None, Sequence[Tensor], float], Tensor]
#: Share of each task vector that :func:`ties` keeps.
KEEP = 0.2


def merge(states: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    r"""Return the weighted sum of tensors, :math:`\sum_i \alpha_i \theta_i`.

    Computed in float64; where one weight is 1 and the others are 0, or where all
    tensors are the same and the weights sum to 1, it is that tensor bit for bit.

    Args:
        states: Of one shape.
        weights: :math:`\alpha`, as many.
    """
    first = states[0]
    if any(weight == 1 for weight in weights) and sum(map(bool, weights)) == 1:
        return states[[bool(w) for w in weights].index(True)].clone()
    same = all(torch.equal(first, state) for state in states[1:])
    if same and abs(sum(weights) - 1) < 1e-9:
        return first.clone()
    total = torch.zeros_like(first, dtype=torch.float64)
    for weight, state in zip(weights, states, strict=True):
        total = total + weight * state.double()
    return total.to(_widest(states))


def _widest(states: Sequence[Tensor]) -> torch.dtype:
    """Return the type that holds all of them, such as that of a parent in bfloat16."""
    return reduce(torch.promote_types, (state.dtype for state in states))


def wise_ft(base: Tensor, tuned: Tensor, alpha: float) -> Tensor:
    r"""Return :math:`(1 - \alpha) \theta_0 + \alpha \theta_1`.

    Args:
        base: :math:`\theta_0`, before fine-tuning.
        tuned: :math:`\theta_1`.
        alpha: In [0, 1]; its ends are the tensors bit for bit.

    Source: Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022.
    """
    check_number("wise_ft", "alpha", alpha, 0, 1)
    return merge([base, tuned], [1 - alpha, alpha])


def ties(
    base: Tensor, states: Sequence[Tensor], scale: float = 1.0, keep: float = KEEP
) -> Tensor:
    r"""Return the base plus what the most of the task vectors agree on.

    Of each task vector :math:`\theta_i - \theta_0` the share ``keep`` of largest size
    stays; each parameter goes the way in which the kept ones have the larger sum, by
    the mean of those that go that way.

    Args:
        base: :math:`\theta_0`, that all have started from.
        states: :math:`\theta_i`.
        scale: Factor of the sum. Default 1.
        keep: Share of parameters of each vector that stays, in (0, 1]. Default 0.2.

    Raises:
        TypeError, ValueError: ``keep`` is no such number.

    Source: Yadav et al., "TIES-Merging: Resolving Interference When Merging Models",
    NeurIPS 2023; the share is that of each tensor, where theirs is of all parameters.
    """
    _check_keep(keep)
    vectors = torch.stack([state.double() - base.double() for state in states])
    # Scales of heads have no dimension, and numbers of classes may not be known yet.
    flat = vectors.reshape(len(states), base.numel())
    if not base.numel():
        return base.clone()
    count = max(round(keep * flat.size(1)), 1)
    least = flat.abs().topk(count, dim=1).values[:, -1:]
    kept = torch.where(flat.abs() >= least, flat, 0.0)
    sign = kept.sum(0).sign()
    agree = (kept.sign() == sign) & (kept != 0)
    number = agree.sum(0).clamp(min=1)
    merged = (kept * agree).sum(0) / number
    made = base.double() + scale * merged.view_as(base)
    return made.to(_widest([base, *states]))


def _check_keep(keep: float) -> None:
    """Raise unless it is a share of parameters that :func:`ties` can keep."""
    check_number("ties", "keep", keep, 0, 1)
    if not keep:
        raise ValueError("ties: `keep` must be above 0, else nothing is merged")


def _needed(base: Tensor | None) -> Tensor:
    if base is None:
        raise ValueError("the rule needs a base, that all were fine-tuned from")
    return base


def _uniform(base: Tensor | None, states: Sequence[Tensor], value: float) -> Tensor:
    return merge(states, [1 / len(states)] * len(states))


def _wise(base: Tensor | None, states: Sequence[Tensor], value: float) -> Tensor:
    (tuned,) = states
    return wise_ft(_needed(base), tuned, value)


def _arithmetic(base: Tensor | None, states: Sequence[Tensor], value: float) -> Tensor:
    rest = 1 - value * len(states)
    return merge([_needed(base), *states], [rest, *([value] * len(states))])


def _ties(
    base: Tensor | None, states: Sequence[Tensor], value: float, keep: float = KEEP
) -> Tensor:
    return ties(_needed(base), states, value, keep)


#: Functions of the base, of the other tensors, and of one number.
RULES: Mapping[str, Rule] = {
    "uniform": _uniform,
    "wise_ft": _wise,
    "task_arithmetic": _arithmetic,
    "ties": _ties,
}


def rule_of(name: str, keep: float | None = None) -> Rule:
    """Return a rule.

    Args:
        name: One of :data:`RULES`.
        keep: Of :func:`ties`; None for its default, and with the other rules.

    Raises:
        TypeError, ValueError: ``keep`` is no such number.
    """
    if keep is None:
        return RULES[name]
    _check_keep(keep)
    return partial(_ties, keep=keep)


#: Their number where none is given.
DEFAULTS: Mapping[str, float] = {
    "uniform": 1.0,  # not used
    "wise_ft": 0.5,
    "task_arithmetic": 0.3,
    "ties": 1.0,
}
