"""Softmax within groups of classes, and foreground or background beside them."""

from __future__ import annotations

import torch
from torch import Tensor

from imb_det.statistics.class_vector import ClassVector

from .links import Link
from .one_pass import (
    Found,
    adjusted,
    can_look,
    compute_dtype,
    gradient_dtype,
    in_chunks,
)
from .rows import Rows
from .terms import Terms, values_of

__all__ = ["GroupedSoftmaxLink"]

# Sums of exponentials of which float32 still has all its digits.
_SMALL = 1e-30


class GroupedSoftmaxLink(Link):
    r"""Classes exclude others of their group, and foreground excludes background.

    .. math:: p_c = \mathrm{softmax}_{g(c)}(z)_c\,
              \mathrm{softmax}(z_{fg}, z_{bg})_1

    The softmax of a group is over its classes and "others": all that belongs to none of
    them. With C classes and G groups there are C + G + 2 outputs: the classes in the
    order of the data set, the "others" of each group, foreground, background. They stay
    where they are when classes change their group.

    The loss of a row is the sum over groups of the cross entropy of its class, or of
    "others", times the factor ``part`` of the terms, and that of foreground or
    background. A group without classes keeps its output, which changes nothing.

    Args:
        groups: Number of the group of each class, in [0, G).
        num_groups: G.

    Source: Li et al., "Overcoming Classifier Imbalance for Long-tail Object Detection
    with Balanced Group Softmax", CVPR 2020. Deviation: the authors have the outputs by
    group, [background, foreground] first, and "others" before the classes of a group.
    """

    use_sigmoid = False

    def __init__(self, groups: ClassVector, num_groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.num_groups = num_groups
        self.extra_channels = num_groups + 2

    def group_of(self, num_classes: int, like: Tensor) -> Tensor:
        """Return the number of the group of each class, int64 (C,).

        Args:
            num_classes: C.
            like: A tensor of the device where they are wanted.

        Raises:
            RuntimeError: Nobody has told the classes; names the line that is missing.
        """
        groups = self.groups(num_classes, like)
        if groups is None:
            raise ValueError("a softmax by groups needs the groups")
        return groups.expand(num_classes).round().long()

    def _columns(self, cls_score: Tensor) -> Tensor:
        """Return which softmax each output is in, int64 (K,): G for the last two."""
        classes = cls_score.size(-1) - self.extra_channels
        others = torch.arange(self.num_groups, device=cls_score.device)
        last = others.new_full((2,), self.num_groups)
        return torch.cat([self.group_of(classes, cls_score), others, last])

    def probabilities(self, cls_score: Tensor) -> tuple[Tensor, Tensor]:
        """Return the products, and the probability of background.

        Those of all classes sum to more than 1 where several groups know an object.
        """
        z = cls_score.to(compute_dtype(cls_score)).reshape(-1, cls_score.size(-1))
        column = self._columns(cls_score)
        p, _, total = _exponentials(z, column, self.num_groups + 1)
        p = p * _of_outputs(1 / total, column)
        p = p.reshape(cls_score.shape).to(cls_score.dtype)
        classes = p[..., : -self.extra_channels] * p[..., -2:-1]
        return classes, p[..., -1:]

    def kernel(
        self,
        terms: Terms,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        per_row: bool = True,
        watch: bool = False,
    ) -> Found:
        """Return loss and gradient; see :func:`softmax_kernel`.

        Raises:
            ValueError: Soft targets, or terms that have no meaning here.
        """
        if label.dim() != 1:
            raise ValueError("a softmax by groups needs classes, not soft targets")
        if watch:
            raise ValueError("nothing is observed of a softmax by groups")
        terms.refuse(
            "grouped softmax", "element", "of_nll", "positive", "negative", "margin"
        )
        classes, groups = cls_score.size(1) - self.extra_channels, self.num_groups
        column = self._columns(cls_score)
        # Background is the last output: of the same number as its label is another.
        own = torch.where(label.long() == classes, cls_score.size(1) - 1, label.long())

        def chunk(
            terms: Terms,
            which: slice | None,
            rows: Rows,
            per_row: bool,
            watch: bool,
            guard: bool,
            out: Tensor | None,
        ) -> Found:
            z = adjusted(terms, which, rows, guard)
            size, top, total = _exponentials(z, column, groups + 1)
            factor = values_of(terms.part, which, z, rows.label)
            share = z.new_ones(len(z), groups + 1)
            if factor is not None:
                share = torch.cat([factor.to(z.dtype), share[:, :1]], 1)
            if rows.factor is not None:
                share = share * rows.factor.to(z.dtype)
            target = _targets(rows.label, column, classes, groups)
            nll = total.log() - (z.gather(1, target) - top)
            loss = (share * nll).sum(1)
            slope = size * _of_outputs(share / total, column)
            slope = slope.scatter_add_(1, target, -share)
            if terms.scale is not None:
                slope = slope * terms.scale.to(z.dtype)
            return loss, slope.to(gradient_dtype(rows.cls_score)), None

        return in_chunks(chunk, terms, cls_score, own, weight, True, False)


def _targets(label: Tensor, column: Tensor, classes: int, groups: int) -> Tensor:
    """Return the output that is right in each softmax, int64 (n, G + 1).

    Args:
        label: The class of each row, or the output of background, int64 (n,).
        column: The softmax of each output, (K,).
        classes: C.
        groups: G.
    """
    softmax = torch.arange(groups + 1, device=label.device)
    is_object = ((label >= 0) & (label < classes))[:, None]
    own = torch.where(is_object, label[:, None], 0)
    rest = torch.where(
        is_object | (softmax < groups), classes + softmax, len(column) - 1
    )
    return torch.where(is_object & (column[own] == softmax), own, rest)


def _exponentials(
    z: Tensor, column: Tensor, number: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what several softmaxes are made of.

    Args:
        z: Logits, (n, K).
        column: Which of them each output is a part of, int64 (K,).
        number: How many there are.

    Returns:
        Exponentials of the logits above the largest of their softmax, or of all, (n,
        K); these largest, (n, number) or (n, 1); the sums of the exponentials, (n,
        number).
    """
    if can_look(z) and len(z):
        # One exponential for all, unless a group is far below the largest logit.
        top = z.amax(1, keepdim=True)
        size = (z - top).exp_()
        with torch.autocast(z.device.type, enabled=False):
            total = size @ _members(column, number, z).T
        if bool(total.min() > _SMALL):
            return size, top, total
    member = _members(column, number, z) > 0
    parts = [torch.where(which, z, -torch.inf) for which in member]
    top = torch.stack([part.amax(1) for part in parts], 1)
    size = (z - top[:, column]).exp()
    sums = [torch.where(which, size, 0).sum(1) for which in member]
    return size, top, torch.stack(sums, 1)


def _members(column: Tensor, number: int, like: Tensor) -> Tensor:
    """Return 1 for the outputs of each softmax, (number, K)."""
    softmax = torch.arange(number, device=column.device)[:, None]
    return (column == softmax).to(like.dtype)


def _of_outputs(values: Tensor, column: Tensor) -> Tensor:
    """Return for each output the value of its softmax, (n, K), of (n, number)."""
    if not can_look(values):
        return values[:, column]
    with torch.autocast(values.device.type, enabled=False):  # faster than to gather
        return values @ _members(column, values.size(1), values)
