"""Accuracy of each class, from single loss calls and from a validation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["Judge", "accuracy_of_metrics", "hits", "rows_of", "true_class_probability"]

#: Function of (loss, logits, labels, C) that gives a number in [0, 1] for each row.
Judge = Callable[[nn.Module, Tensor, Tensor, int], Tensor]


def rows_of(
    score: Tensor, label: Any, weight: Any, num_classes: int
) -> tuple[Tensor, Tensor]:
    """Select the positive rows that a loss call counts.

    Args:
        score: Logits, (..., K) with K >= C.
        label: Class of each row, int (N,); or one-hot or soft targets, (..., K') with
            K' = C or more, where a row without target is background; or a tuple that
            starts with either.
        weight: None, one number a row, or one an entry; rows of weight 0 do not count.
        num_classes: C. Labels outside 0 to C - 1 do not count.

    Returns:
        Logits, float32 (n, K), and classes, int64 (n,), of the rows that count.

    Raises:
        ValueError: Shapes that do not fit.
    """
    if isinstance(label, (tuple, list)):
        label = label[0]
    is_dense = label.ndim >= score.ndim
    num_rows = math.prod(score.shape[:-1])
    logits = score.detach().reshape(num_rows, -1) if num_rows else score.detach()
    targets = label.detach()
    if score.shape[-1] < num_classes or (num_rows and targets.numel() % num_rows):
        raise ValueError(
            f"a classification loss got scores of shape {tuple(score.shape)} and "
            f"labels of shape {tuple(label.shape)}, but there are {num_classes} classes"
        )
    if not num_rows:
        return logits.float(), targets.new_zeros(0, dtype=torch.long)
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
    return logits[counted].float(), targets[counted]


def _probabilities(loss: nn.Module, logits: Tensor) -> Tensor:
    """Return what the loss's head would predict from the logits."""
    if getattr(loss, "custom_cls_channels", False):
        activation: Any = loss.get_activation
        return activation(logits.clone())  # some write into their argument
    if getattr(loss, "use_sigmoid", False):
        return logits.sigmoid()
    return logits.softmax(-1)


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
        best = logits[:, :num_classes].argmax(1)
        if not background_is_error:
            return best == label
        probability = _probabilities(loss, logits)
        if getattr(loss, "use_sigmoid", False):
            mine = probability.gather(1, label[:, None]).squeeze(1)
            return (best == label) & (mine > 0.5)
        return probability.argmax(1) == label

    return judge


def true_class_probability(
    loss: nn.Module, logits: Tensor, label: Tensor, num_classes: int
) -> Tensor:
    """Judge rows by the predicted probability of their true class."""
    return _probabilities(loss, logits).gather(1, label[:, None]).squeeze(1)


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
            f"figures are {list(metrics)[:10]}"
        )
    values = np.array([found.get(name, np.nan) for name in classes])
    return np.where(values >= 0, values, np.nan).clip(max=1)
