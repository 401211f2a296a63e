"""What a loss says about one call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from .elements import Element
from .rows import where_counted

__all__ = [
    "Call",
    "Gathered",
    "OfNLL",
    "Terms",
    "Values",
    "is_background",
    "values_of",
]


@dataclass(frozen=True)
class Gathered:
    """Numbers of rows that have them in common, such as those of an image.

    Args:
        table: Numbers of each kind of row, (B, K).
        row: Kind of each row, int64 (N,).
    """

    table: Tensor
    row: Tensor


#: A number for each channel, (K,), for each row and channel, (N, K), a scalar, or a
#: function that makes (n, K) of them for the logits (n, K) and labels of some rows; or
#: rows of a table.
Values = Tensor | Callable[[Tensor, Tensor], Tensor] | Gathered

#: Loss and derivative of a row as functions of -log(probability of its class), (n,);
#: for soft targets (n, K).
OfNLL = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Call:
    """One call of a loss.

    Args:
        cls_score: Logits without a graph, float (N, K).
        label: Class of each row, int (N,), background C, ignored below 0; or targets
            in [0, 1], (N, K).
        weight: Factor of each row, (N,), or element, (N, K), or None.
        num_classes: Number of classes C.
        learn: Whether it is a call of a training step, from which running statistics
            are to learn, and no extra call of a sampler.
        factor: By which the pass multiplies the loss, > 0: ``loss_weight`` over the
            normaliser, where that is known beforehand. Default 1.
        quality: What the probability of a row's class is to be in place of 1, such as
            the overlap of its box, in [0, 1], (N,); None for 1.
    """

    cls_score: Tensor
    label: Tensor
    weight: Tensor | None
    num_classes: int
    learn: bool
    factor: float = 1.0
    quality: Tensor | None = None

    @property
    def is_background(self) -> Tensor:
        """Which rows have no class, bool (N,)."""
        return is_background(self.label, self.num_classes)

    @property
    def is_object(self) -> Tensor:
        """Which rows have a class that counts, bool (N,); of classes, not targets."""
        exists = (self.label >= 0) & (self.label < self.num_classes)
        if self.weight is None:
            return exists
        of_own = self.weight
        if of_own.dim() == 2:
            column = torch.where(exists, self.label, 0).long()
            of_own = of_own.gather(1, column[:, None])[:, 0]
        return exists & (of_own != 0)

    @property
    def is_counted(self) -> Tensor:
        """Which rows count at all, by label and weight, bool (N,)."""
        counted, _ = where_counted(self.label, self.weight)
        if counted is None:
            return self.label.new_ones(len(self.label), dtype=torch.bool)
        return counted.any(1)


def is_background(label: Tensor, num_classes: int) -> Tensor:
    """Tell which rows have no class, bool (n,).

    Args:
        label: Class of each row, int (n,), background C; or targets, (n, K).
        num_classes: C.
    """
    if label.dim() == 1:
        return label == num_classes
    return label[:, :num_classes].sum(1) == 0


#: Terms with a number for each output.
_OF_OUTPUTS = ("scale", "margin", "offset", "positive", "negative")


@dataclass(frozen=True)
class Terms:
    r"""What a loss does to logits, elements and rows; None where it does nothing.

    A logit enters as :math:`z'_{nj} = s_j (z_{nj} - m_j [j = y_n]) + o_{nj}`. None of
    the terms has a gradient.

    Args:
        scale: s, factor of the logits, (K,) or scalar.
        margin: m, taken off the logit of a row's own class, (K,) or scalar; with soft
            targets, off each logit times its target.
        offset: o, added to the logits.
        element: With a sigmoid: the loss of each element; None for cross entropy.
        of_nll: With a softmax: the loss of a row as a function of its -log p.
        positive: Factor of elements that are a row's own class; with a softmax of its
            row, and then (K,) or scalar.
        negative: With a sigmoid: factor of all other elements. Bool tells which of
            them there are at all, and takes less time.
        row: Factor of rows, (N,).
        part: With a softmax for each of G groups: the factor of each in the loss of a
            row, (N, G).
        normaliser: Scalar that ``'mean'`` divides by in place of ``avg_factor``.
        quality: With a sigmoid: target of the own element of each row in place of 1,
            in [0, 1], (N,).
    """

    scale: Tensor | None = None
    margin: Tensor | None = None
    offset: Values | None = None
    element: Element | None = None
    of_nll: OfNLL | None = None
    positive: Values | None = None
    negative: Values | None = None
    row: Tensor | None = None
    part: Tensor | None = None
    normaliser: Tensor | None = None
    quality: Tensor | None = None

    @property
    def adjusts(self) -> bool:
        """Whether logits enter as others than they are."""
        return not (self.scale is None and self.margin is None and self.offset is None)

    @property
    def form(self) -> tuple[object, ...]:
        """Which terms there are, and of how many dimensions, for a compiler."""
        return tuple(
            (value.dim(), value.dtype) if isinstance(value, Tensor) else type(value)
            for value in vars(self).values()
        )

    def without_background(self, num_classes: int) -> Terms:
        """Return the terms of C outputs, without what is for background, the last.

        Args:
            num_classes: C.
        """
        cut: dict[str, Any] = {
            key: value[:-1]
            for key, value in vars(self).items()
            if key in _OF_OUTPUTS
            and isinstance(value, Tensor)
            and tuple(value.shape) == (num_classes + 1,)
        }
        return replace(self, **cut)

    def check(self, loss: str, rows: int, channels: int) -> None:
        """Refuse terms of another shape than the logits (N, K).

        Args:
            loss: Name of the loss.
            rows: N.
            channels: K.

        Raises:
            TypeError: A term that is no tensor, and no function where that may be.
            ValueError: A term of another shape; names it.
        """
        by_row = ("offset", "positive", "negative")
        of_rows = ("row", "quality")
        for name in ("scale", "margin", "part", "normaliser", *of_rows, *by_row):
            value = getattr(self, name)
            if value is None or (name in by_row and callable(value)):
                continue
            if name in by_row and isinstance(value, Gathered):
                if len(value.row) != rows:
                    raise ValueError(
                        f"{loss}: the term `{name}` is of {len(value.row)} rows, and "
                        f"there are {rows}"
                    )
                value = value.table[:1].expand(rows, -1)
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"{loss}: the term `{name}` must be a tensor: {value!r}"
                )
            shape = value.shape
            fits = value.dim() == 0 and name not in ("part", *of_rows)
            if value.dim() == 1 and name not in ("part", "normaliser"):
                fits = shape[0] == (rows if name in of_rows else channels)
            if value.dim() == 2 and name == "part":
                fits = shape[0] == rows
            if value.dim() == 2 and name in by_row:
                fits = shape[0] == rows and shape[1] == channels
            if not fits:
                raise ValueError(
                    f"{loss}: the term `{name}` has shape {tuple(shape)}, which does "
                    f"not fit logits ({rows}, {channels})"
                )

    def refuse(self, link: str, *names: str) -> None:
        """Raise for terms that a link has no use for: none is left aside in silence.

        Raises:
            ValueError: One of these is set.
        """
        if found := [name for name in names if getattr(self, name) is not None]:
            raise ValueError(f"{link} losses have no use for the terms {found}")


def values_of(
    values: Values | None, rows: slice | Tensor | None, logits: Tensor, label: Tensor
) -> Tensor | None:
    """Return the values for some rows.

    Args:
        values: Of all rows.
        rows: Which they are; None for all.
        logits: Of these rows, (n, K).
        label: Of these rows.
    """
    if isinstance(values, Gathered):
        return values.table[values.row if rows is None else values.row[rows]]
    if values is None or isinstance(values, Tensor):
        by_row = values is not None and values.dim() == 2 and rows is not None
        return values[rows] if by_row else values  # type: ignore[index]
    return values(logits, label)
