"""Balanced group softmax: classes compete with others of about as many examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from imb_det.core import check_choice, check_number, refuse_idle
from imb_det.registry import MODELS
from imb_det.statistics.class_counts import COUNTED
from imb_det.statistics.class_stats import ClassStats
from imb_det.statistics.class_vector import ClassVector

from .base import ImbalanceLoss
from .grouped_softmax import GroupedSoftmaxLink
from .step_draws import StepDraws
from .terms import Call, Terms

__all__ = ["BalancedGroupSoftmaxLoss"]

Groups = str | Sequence[float] | Mapping[str, float]


@MODELS.register_module()
class BalancedGroupSoftmaxLoss(ImbalanceLoss):
    r"""Softmax within groups of classes that have about as many examples.

    .. math:: L = -\log p^{obj}_{y} - \sum_g w_g \log
                  \frac{e^{z_{t_g}}}{e^{z_{o_g}} + \sum_{c \in g} e^{z_c}}, \qquad
              p_c = p^{obj}_{fg}\, \mathrm{softmax}_{g(c)}(z)_c

    The target :math:`t_g` of a row in group g is its class, or "others", :math:`o_g`,
    where the class is of another group or the row is background. Of the rows of
    "others" each group takes ``beta`` times as many as it has rows of its classes,
    drawn anew in each step, and none where it has none. With C classes and G groups
    there are C + G + 2 outputs, in the order that
    :class:`~imb_det.losses.GroupedSoftmaxLink` tells; only RoI heads make them.

    Args:
        edges: Numbers of examples, increasing and > 0, at which the next group begins:
            (10, 100, 1000) are four groups, of 0 to 9 examples, 10 to 99, 100 to 999,
            and more. A group that no class falls into does no harm. Default
            (10, 100, 1000).
        groups: ``'instances'`` or ``'images'``, what ``edges`` count in the training
            set; or C whole numbers in [0, G), the group of each class, as a list or by
            class name, others then being in the last group. Default ``'instances'``.
        beta: Rows of "others" for each row of a class of the group, >= 0; infinity for
            all there are. Default 8.
        sampled: Whether rows of "others" are taken as drawn; else all of them, with the
            factor that this is on average. Default True.
        average: What the loss of a group is divided by: ``'groups'``, the rows that it
            takes, or ``'rows'``, all of them, as the loss of objectness. Default
            ``'groups'``.
        seed: Of the draws, the same on all ranks, >= 0. Default 0.
        use_sigmoid: Must be False. Default False.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        compiled: Whether to compile the loss; ``'auto'`` does on a GPU. Default
            ``'auto'``.

    Raises:
        TypeError, ValueError: At construction for an argument; when training starts
            for groups that do not fit the classes.
        RuntimeError: In the first training step, without ``imb_det.ImbalanceHook``.

    Example:
        >>> import torch
        >>> loss = BalancedGroupSoftmaxLoss(
        ...     edges=[10], groups=[0, 1], average="rows", sampled=False
        ... )
        >>> # log 2 of group 0, and of foreground
        >>> loss(torch.zeros(1, 6), torch.tensor([0]), reduction_override="none")
        tensor([1.3863])

    Source: Li et al., "Overcoming Classifier Imbalance for Long-tail Object Detection
    with Balanced Group Softmax", CVPR 2020, with the numbers of the authors' code. They
    train the classifier alone, from a baseline, in 12 epochs. Deviations: one loss, the
    sum of those of the groups; the order of the outputs.
    """

    link: GroupedSoftmaxLink

    def __init__(
        self,
        edges: Sequence[float] = (10, 100, 1000),
        groups: Groups = "instances",
        beta: float = 8.0,
        sampled: bool = True,
        average: str = "groups",
        seed: int = 0,
        use_sigmoid: bool = False,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        compiled: bool | str = "auto",
    ) -> None:
        name = type(self).__name__
        check_choice(name, "use_sigmoid", use_sigmoid, (False,))
        check_choice(name, "sampled", sampled, (True, False))
        check_choice(name, "average", average, ("groups", "rows"))
        super().__init__(False, reduction, loss_weight, compiled)
        if beta != float("inf"):
            check_number(name, "beta", beta, 0, None)
        limits = _check_edges(name, edges)
        self.beta, self.sampled, self.average = float(beta), sampled, average
        rules = {by: partial(_groups, limits, by) for by in COUNTED}
        last = len(limits)
        vector = ClassVector(
            name, "groups", groups, rules=rules, default=last, high=last
        )
        _check_whole(name, vector)
        self.link = GroupedSoftmaxLink(vector, last + 1)
        self.draws = StepDraws(name, seed)
        if not sampled:
            refuse_idle(name, "with `sampled=False`", seed=(seed, 0))

    def terms(self, call: Call) -> Terms:
        """Return the factor of each row in each group."""
        if call.label.dim() == 2:
            raise ValueError(
                f"{type(self).__name__} needs classes as labels, not soft targets"
            )
        label, classes, size = call.label, call.num_classes, self.link.num_groups
        counts = call.is_counted
        is_object = counts & (label < classes)
        group = self.link.group_of(classes, call.cls_score)
        group = group[torch.where(is_object, label, 0).long()]
        groups = torch.arange(size, device=label.device)
        own = is_object[:, None] & (group[:, None] == groups)
        others = counts[:, None] & ~own
        wanted = torch.where(own.any(0), self.beta * own.sum(0).double(), 0.0)
        if self.sampled:
            keys = self.draws.uniform((len(label), size), call.cls_score)
            place = torch.where(others, keys, 2.0).argsort(0).argsort(0)
            taken = (others & (place < wanted.floor())).double()
        else:
            taken = others * (wanted / others.sum(0).clamp(min=1)).clamp(max=1)
        if call.learn:
            self.draws.count(len(call.label))
        part = own + taken
        if self.average == "groups":
            part = part * (counts.sum() / part.sum(0).clamp(min=1))
        return Terms(part=part)


def _check_edges(owner: str, edges: Any) -> tuple[float, ...]:
    """Return the edges, checked."""
    if isinstance(edges, str) or not isinstance(edges, Sequence):
        raise TypeError(
            f"{owner}: `edges` must be a list of numbers such as (10, 100, 1000), got "
            f"{edges!r}"
        )
    for edge in edges:
        check_number(owner, "edges", edge, 0, None, open_ends=True)
    if any(low >= high for low, high in pairwise(edges)):
        raise ValueError(f"{owner}: `edges` must increase, got {tuple(edges)}")
    return tuple(float(edge) for edge in edges)


def _check_whole(owner: str, groups: ClassVector) -> None:
    """Refuse numbers of groups that are no whole numbers, and no groups at all."""
    for spec in groups.specs.values():
        given = spec.values() if isinstance(spec, dict) else np.atleast_1d(spec)
        if spec is None or any(
            not isinstance(number, str) and number != int(number) for number in given
        ):
            raise ValueError(
                f"{owner}: `groups` must be one of {COUNTED}, or the whole number of "
                f"the group of each class, got {spec!r}"
            )


def _groups(limits: tuple[float, ...], by: str, stats: ClassStats) -> np.ndarray:
    """Return the number of the group of each class."""
    counts = stats.image_count if by == "images" else stats.instance_count
    return np.searchsorted(limits, counts, side="right").astype(float)
