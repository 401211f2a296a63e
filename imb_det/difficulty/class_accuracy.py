"""Accuracy of each class, from single loss calls and from a validation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor, nn

from imb_det.core.text import and_more
from imb_det.losses import ImbalanceLoss, SigmoidLink, SoftmaxLink

__all__ = ["Judge", "accuracy_of_metrics", "hits", "rows_of", "true_class_probability"]

#: Function of (loss, logits, labels, C) that gives a number in [0, 1] for each row; for
#: rows that do not count the label is any class, and so is the number.
Judge = Callable[[nn.Module, Tensor, Tensor, int], Tensor]


def rows_of(
    score: Tensor, label: Any, weight: Any, num_classes: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Tell which rows of a loss call are positive and count.

    All rows are kept: to select some, the host would have to wait for the GPU.

    Args:
        score: Logits, (..., K) with K >= C.
        label: Class of each row, int (N,); or one-hot or soft targets, (..., K') with
            K' = C or more, where a row without target is background; or a tuple that
            starts with either.
        weight: None, one number a row, or one an entry; rows of weight 0 do not count.
        num_classes: C. Labels outside 0 to C - 1 do not count.

    Returns:
        Logits (N, K), as they are; classes, int64 (N,), in 0 to C - 1 also where the
        row does not count; and whether it does, bool (N,).

    Raises:
        ValueError: Shapes that do not fit.
    """
    if isinstance(label, (tuple, list)):
        label = label[0]
    is_dense = label.ndim >= score.ndim
    num_rows = math.prod(score.shape[:-1])
    targets = label.detach()
    if score.shape[-1] < num_classes or (num_rows and targets.numel() % num_rows):
        raise ValueError(
            f"a classification loss got scores of shape {tuple(score.shape)} and "
            f"labels of shape {tuple(label.shape)}, but there are {num_classes} classes"
        )
    logits = score.detach().reshape(num_rows, score.shape[-1])
    if not num_rows:
        none = targets.new_zeros(0, dtype=torch.long)
        return logits, none, none.bool()
    if is_dense:
        targets = targets.reshape(num_rows, -1)
        counted = targets.sum(1) > 0
        targets = targets.argmax(1)
    else:
        targets = targets.reshape(num_rows).long()
        counted = targets >= 0
    counted = counted & (targets < num_classes)
    if isinstance(weight, Tensor) and weight.numel() > 1:
        counted = counted & (weight.detach().reshape(num_rows, -1) > 0).any(1)
    return logits, targets.clamp(0, num_classes - 1), counted


def _has_own_activation(loss: nn.Module) -> bool:
    """Whether the loss's head predicts by more than a sigmoid or a softmax."""
    if isinstance(loss, ImbalanceLoss):
        plain = type(loss.link) in (SigmoidLink, SoftmaxLink)
        return not (plain and _predicts_by_link(loss))
    return getattr(loss, "custom_cls_channels", False)


def _predicts_by_link(loss: nn.Module) -> TypeGuard[ImbalanceLoss]:
    """Whether the loss is one of ours, with no activation beside its link."""
    activation = getattr(type(loss), "get_activation", None)
    return activation is ImbalanceLoss.get_activation


def _own_activation(
    loss: nn.Module, logits: Tensor, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return what the loss's head would predict from the logits."""
    activation: Any = loss.get_activation
    # Some write into their argument.
    return activation(logits.to(dtype, copy=True))


def _comparable(loss: nn.Module, logits: Tensor) -> Tensor:
    """Return numbers whose largest in a row is the class that the head predicts.

    Those are the logits, unless a softmax is not over them as they are. They are not
    made probabilities without need: small ones would be rounded to equal ones.
    """
    if getattr(loss, "use_sigmoid", False) or not _has_own_activation(loss):
        return logits
    return _own_activation(loss, logits, torch.float64)


def hits(background_is_error: bool) -> Judge:
    """Return a judge of rows: 1 where the highest score is that of the true class.

    Args:
        background_is_error: Whether background competes: as a column of a softmax,
            or as a probability of at most 0.5 of a sigmoid. Else only the C classes
            do.
    """

    def judge(
        loss: nn.Module, logits: Tensor, label: Tensor, num_classes: int
    ) -> Tensor:
        best = _comparable(loss, logits)[:, :num_classes].argmax(1)
        if not background_is_error:
            return best == label
        if getattr(loss, "use_sigmoid", False):
            mine = true_class_probability(loss, logits, label, num_classes)
            return (best == label) & (mine > 0.5)
        if not _has_own_activation(loss):
            return logits.argmax(1) == label
        if _predicts_by_link(loss):  # also in dense heads, without that column
            return loss.link.best(logits.double()) == label
        return _own_activation(loss, logits).argmax(1) == label

    return judge


def true_class_probability(
    loss: nn.Module, logits: Tensor, label: Tensor, num_classes: int
) -> Tensor:
    """Judge rows by the predicted probability of their true class."""

    def of_class(table: Tensor) -> Tensor:
        return table.gather(1, label[:, None]).squeeze(1).float()

    if _has_own_activation(loss):
        return of_class(_own_activation(loss, logits))
    # Not the activation of every entry: most are of other classes.
    if getattr(loss, "use_sigmoid", False):
        return of_class(logits).sigmoid()
    return (of_class(logits) - logits.float().logsumexp(1)).exp()


def accuracy_of_metrics(
    metrics: Mapping[str, Any], classes: tuple[str, ...]
) -> np.ndarray:
    """Read the average precision of each class from the figures of a validation.

    Args:
        metrics: Figures by name; ``<prefix>/<class>_precision`` is what is read, a
            number or its text, NaN or negative where a class has no object to find.
        classes: Names of the C classes.

    Returns:
        Average precision, float64 (C,), NaN where unknown.

    Raises:
        ValueError: There is no such figure for any class.
    """
    found: dict[str, float] = {}
    for key, value in metrics.items():
        name = key.split("/", 1)[-1]
        if name.endswith("_precision"):
            # The first metric of the evaluator that knows the class.
            found.setdefault(name.removesuffix("_precision"), float(value))
    if not set(classes) & set(found):
        raise ValueError(
            "the validation gives no average precision by class: set `classwise=True` "
            "in `val_evaluator` (mmdet's or imb_det's CocoMetric, LVISMetric); its "
            f"figures are {and_more(metrics, 10)}"
        )
    values = np.array([found.get(name, np.nan) for name in classes])
    return np.where(values >= 0, values, np.nan).clip(max=1)
