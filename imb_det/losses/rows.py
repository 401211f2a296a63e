"""The rows of a call, or some of them, as kernels take them."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["OwnClass", "Rows", "computed_first", "where_counted"]


class OwnClass:
    """Where the rows of some logits have their own class, and what to do there.

    Running code reads and writes these single elements alone. Compiled code compares
    every element with the label, which costs it nothing in the same pass, where single
    writes would end it.

    Args:
        label: Class of each row, int (n,), outside of [0, K) for none.
        channels: K.
    """

    def __init__(self, label: Tensor, channels: int) -> None:
        self.channels = channels
        self.label = label
        self._by_mask = torch.compiler.is_compiling()
        #: Which rows have a class, bool (n, 1).
        self.exists = ((label >= 0) & (label < channels))[:, None]
        #: The class of each row, int64 (n, 1); 0 for none.
        self.column = torch.where(self.exists, label[:, None], 0).long()

    def part(self, rows: slice | Tensor, label: Tensor) -> OwnClass:
        """Return the same for some rows, with their labels."""
        part = copy.copy(self)
        part.label = label
        part.exists, part.column = self.exists[rows], self.column[rows]
        return part

    @property
    def mask(self) -> Tensor:
        """Which elements are a row's own class, bool (n, K)."""
        classes = torch.arange(
            self.channels, device=self.label.device, dtype=torch.int32
        )
        return self.label.to(torch.int32)[:, None] == classes

    def of(self, x: Tensor) -> Tensor:
        """Return the own elements of (n, K), as (n, 1); any for rows without class."""
        if self._by_mask:
            return torch.where(self.mask, x, 0).sum(1, keepdim=True)
        return x.gather(1, self.column)

    def at_hand(self, x: Tensor) -> Tensor:
        """Return the same of what is there, or made of what is there in one step."""
        return x.gather(1, self.column)

    def counts(self, counted: Tensor | None) -> Tensor:
        """Tell which rows have a class that counts, bool (n, 1).

        Args:
            counted: Which elements count, bool (n, 1) or (n, K); None for all.
        """
        if counted is None:
            return self.exists
        if counted.size(1) > 1:
            counted = self.at_hand(counted)
        return self.exists & counted

    # The following work in place, except in compiled code.

    def negated(self, x: Tensor) -> Tensor:
        """Negate the own elements of (n, K)."""
        if self._by_mask:
            return torch.where(self.mask, -x, x)
        mine = x.gather(1, self.column)
        return self._put(x, mine, -mine)

    def lowered(self, x: Tensor, by: Tensor) -> Tensor:
        """Take numbers, (K,) or scalar, off the own elements of (n, K)."""
        if self._by_mask:
            return torch.where(self.mask, x - by, x)
        mine = x.gather(1, self.column)
        return self._put(x, mine, mine - self.at(by))

    def cleared(self, x: Tensor) -> Tensor:
        """Write 0 for the own elements of (n, K)."""
        if self._by_mask:
            return torch.where(self.mask, 0, x)
        return self._put(x, x.gather(1, self.column), x.new_zeros(()))

    def written(self, x: Tensor, own: Tensor) -> Tensor:
        """Write own elements, (n, 1), into (n, K)."""
        if self._by_mask:
            return torch.where(self.mask, own, x)
        return self._put(x, x.gather(1, self.column), own)

    def _put(self, x: Tensor, old: Tensor, new: Tensor) -> Tensor:
        """Write own elements, (n, 1), of rows that have a class."""
        return x.scatter_(1, self.column, torch.where(self.exists, new, old))

    def at(self, values: Tensor) -> Tensor:
        """Return a value of each row's own class: of (K,) or (n, K), as (n, 1)."""
        if values.dim() == 2:
            return self.of(values)
        return values if values.dim() == 0 else values[self.column]


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

    def part(self, rows: slice | Tensor) -> Rows:
        """Return some of the rows."""
        label = self.label[rows]
        return Rows(
            self.cls_score[rows],
            label,
            None if self.own is None else self.own.part(rows, label),
            None if self.counted is None else self.counted[rows],
            None if self.factor is None else self.factor[rows],
        )


def computed_first(of_rows: Tensor) -> Tensor:
    """Have compiled code keep numbers of rows, (n, 1), in memory before elements.

    A compiler would compute them again for each element of their row, or together with
    what needs sums over elements, and so take two passes over the elements.
    """
    if not torch.compiler.is_compiling():
        return of_rows
    return torch.as_strided(of_rows, of_rows.shape, of_rows.stride())


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
    # Before they are multiplied: a product may be too small for a number.
    counted = known
    for factor in (weight, None if row is None else row[:, None]):
        if factor is not None:
            counted = factor != 0 if counted is None else counted & (factor != 0)
    if row is not None:
        weight = row[:, None] if weight is None else weight * row[:, None]
    if weight is None:
        return known, known
    if known is not None:
        weight = torch.where(known, weight, 0)
    return counted, weight
