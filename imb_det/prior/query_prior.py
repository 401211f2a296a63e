"""The share of queries that are matched with an object, and their classifiers."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmdet.models.dense_heads import DDQDETRHead, DETRHead, DINOHead, GroundingDINOHead
from torch import Tensor, nn

from .boxes import TrainingBoxes
from .foreground_prior import ForegroundPrior

__all__ = ["check_queries", "has_queries", "query_biases", "query_prior"]

# What a denoising query with an object brings along: itself and one of background.
_OF_NOISE = 2


def has_queries(head: Any) -> bool:
    """Tell whether a head classifies queries, each object matched with one."""
    return isinstance(head, DETRHead)


def check_queries(model: nn.Module, head: Any, path: str) -> None:
    """Refuse queries whose number or whose objects are not known before training.

    Args:
        model: Detector.
        head: A head of queries in it.
        path: Of the head.

    Raises:
        TypeError: Names the head, and why.
        ValueError: The detector does not say how many queries it has.
    """
    kind = type(head).__name__
    if isinstance(head, DDQDETRHead):
        raise TypeError(
            f"PriorInitHook cannot count for {kind}: how many of its queries are "
            "distinct, and so are trained, depends on predictions"
        )
    if isinstance(head, GroundingDINOHead):
        raise TypeError(
            f"PriorInitHook cannot count for {kind}: it scores words of a prompt, and "
            "has no output for a class"
        )
    if not head.loss_cls.use_sigmoid:
        raise TypeError(
            f"PriorInitHook: {kind} classifies with softmax; the prior is derived for "
            "independent sigmoids (`use_sigmoid=True` in `loss_cls`)"
        )
    if not isinstance(getattr(model, "num_queries", None), int):
        raise ValueError(
            f"PriorInitHook: {type(model).__name__} has no `num_queries`, of which the "
            f"objects of `{path}` ({kind}) would be a share"
        )


def query_biases(head: Any) -> dict[str, Tensor]:
    """Return the biases of the classifiers of all decoder layers, by name.

    What chooses queries in the encoder is no part: it makes its own candidates.

    Args:
        head: A head of queries.
    """
    if hasattr(head, "fc_cls"):
        return {"fc_cls.bias": head.fc_cls.bias}
    branches = list(head.cls_branches)
    if head.as_two_stage:
        branches = branches[:-1]
    return {f"cls_branches.{i}.bias": layer.bias for i, layer in enumerate(branches)}


def query_prior(
    boxes: TrainingBoxes, weights: np.ndarray | None, model: Any, head: Any
) -> ForegroundPrior:
    r"""Count the queries, and those that are matched with an object.

    .. math:: N_f = \sum_i \min(n_i, Q), \qquad N = Q \cdot \text{images}

    where image i has n_i objects for Q queries. Denoising queries, as those of DINO,
    are a loss of their own, a mean over as many objects: half of them are background.
    (More, where an image has fewer objects than another of its batch, which depends on
    the batches and is left aside.) Both losses together are least where :math:`2 N_f`
    of :math:`N + 2 N_f` are matched.

    Args:
        boxes: Of the training images.
        weights: How often each image is shown, (n,), or None for once.
        model: Detector, which says how many queries Q of an image are matched.
        head: A head of queries.
    """
    queries = int(model.num_queries)
    taken = boxes.image[~boxes.ignored]
    matched = np.bincount(taken, minlength=len(boxes)).clip(max=queries)
    shown = np.ones(len(boxes), np.int64) if weights is None else weights
    positive, total = int((shown * matched).sum()), int(shown.sum()) * queries
    if isinstance(head, DINOHead):
        total, positive = total + _OF_NOISE * positive, 2 * positive
    return ForegroundPrior(total, positive, int(head.num_classes), len(boxes))
