"""Heads that classify, and what the numbers of their classes follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from torch import nn

from imb_det.losses import ImbalanceLoss
from imb_det.statistics.class_vector import ClassVector

__all__ = [
    "ClassifyingHead",
    "classifying_heads",
    "mapping_at",
    "rank_correlation",
    "weights_of",
]


@dataclass(frozen=True)
class ClassifyingHead:
    """A head with a loss of classes.

    Args:
        path: In the model, with dots.
        head: The module.
        loss: Its ``loss_cls``.
        num_classes: C.
    """

    path: str
    head: Any
    loss: Any
    num_classes: int

    @property
    def where(self) -> str:
        """Path and class, for messages."""
        return f"`{self.path}` ({type(self.head).__name__})"

    @property
    def in_config(self) -> str:
        """The loss, as a config has it."""
        return f"model.{self.path}.loss_cls"

    @property
    def outputs(self) -> int | None:
        """Numbers of a row of the classifier of a box head; None where not known."""
        made = getattr(getattr(self.head, "fc_cls", None), "out_features", None)
        return made if isinstance(self.head, BBoxHead) else None


def classifying_heads(model: nn.Module | None) -> Iterator[ClassifyingHead]:
    """Yield the heads of a model with a ``loss_cls`` and ``num_classes``.

    Args:
        model: Detector, or None.
    """
    for path, module in model.named_modules() if model is not None else ():
        loss = getattr(module, "loss_cls", None)
        number = getattr(module, "num_classes", None)
        if isinstance(module, ImbalanceLoss) or not isinstance(loss, nn.Module):
            continue
        if isinstance(number, int):
            yield ClassifyingHead(path, module, loss, number)


def weights_of(loss: Any) -> Iterator[tuple[Any, list[float]]]:
    """Yield who weighs classes in a loss by numbers of the config, and these.

    Numbers of a rule on the counts are not among them.

    Args:
        loss: Of mmdet, with a list ``class_weight``, or of this library.
    """
    if not isinstance(loss, ImbalanceLoss):
        with suppress(TypeError, ValueError):  # no numbers: told elsewhere
            numbers = np.ravel(np.asarray(getattr(loss, "class_weight", None), float))
            if numbers.size > 1:
                yield loss, numbers.tolist()
        return
    for part in loss.modules():
        if not isinstance(part, ClassVector) or "weight" not in part.name:
            continue
        value = part.value
        given = part.by_class and not part.has_rule and part.told_by is None
        if given and value is not None and value.dim() == 1 and len(value) > 1:
            yield part, value.tolist()


def mapping_at(config: Any, *keys: str) -> Mapping[str, Any]:
    """Return the dictionary at a place of a config; an empty one for anything else.

    Args:
        config: Config.
        *keys: Keys, the outer ones first.
    """
    for key in keys:
        config = config.get(key) if hasattr(config, "get") else None
    return config if isinstance(config, Mapping) else {}


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Return Spearman's correlation of two lists; 0 where one has equal numbers only.

    Args:
        first: n numbers.
        second: n numbers.
    """
    ours, theirs = (_ranks(np.asarray(numbers, float)) for numbers in (first, second))
    if np.ptp(ours) == 0 or np.ptp(theirs) == 0:
        return 0.0
    return float(np.corrcoef(ours, theirs)[0, 1])


def _ranks(numbers: np.ndarray) -> np.ndarray:
    """Return the mean rank of each number."""
    _, place, count = np.unique(numbers, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]
