"""The rows of a call, or some of them, as kernels take them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .own_class import OwnClass

__all__ = ["Rows", "where_counted"]


@dataclass(frozen=True)
class Rows:
    """Logits, labels and weights of some rows.

    Args:
        cls_score: Logits, (n, K).
        label: Class of each row, int (n,), ignored below 0; or targets, (n, K).
        own: Where the own classes are; None for targets.
        counted: Which elements count, bool (n, 1) or (n, K); None for all.
        factor: Of elements or rows, of the same shape; None for 1.
    """

    cls_score: Tensor
    label: Tensor
    own: OwnClass | None
    counted: Tensor | None
    factor: Tensor | None

    @classmethod
    def of(
        cls,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None,
        row: Tensor | None = None,
    ) -> Rows:
        """Return the rows of a call.

        Args:
            cls_score: Logits, (N, K).
            label: Class of each row, (N,), or targets (N, K).
            weight: Factor of each row, (N,), or element, (N, K), or None.
            row: One more factor of each row, (N,), or None.
        """
        own = OwnClass(label, cls_score.size(1)) if label.dim() == 1 else None
        return cls(cls_score, label, own, *where_counted(label, weight, row))

    def part(self, rows: slice) -> Rows:
        """Return some of the rows."""
        return Rows(
            self.cls_score[rows],
            self.label[rows],
            None if self.own is None else self.own.part(rows),
            None if self.counted is None else self.counted[rows],
            None if self.factor is None else self.factor[rows],
        )


def where_counted(
    label: Tensor, weight: Tensor | None, row: Tensor | None = None
) -> tuple[Tensor | None, Tensor | None]:
    """Join weights and ignored rows.

    Args:
        label: Class of each row, (n,), ignored below 0, or targets (n, K).
        weight: Factor of each row, (n,), or element, (n, K), or None.
        row: One more factor of each row, (n,), or None.

    Returns:
        Which elements count, bool (n, 1) or (n, K), None for all; their factor, of the
        same shape, bool where there are no weights, 0 where they do not count.
    """
    known = None if label.dim() == 2 else (label >= 0)[:, None]
    if weight is not None and weight.dim() == 1:
        weight = weight[:, None]
    if row is not None:
        weight = row[:, None] if weight is None else weight * row[:, None]
    if weight is None:
        return known, known
    if known is not None:
        weight = torch.where(known, weight, 0)
    return weight != 0, weight
