"""A pass over the logits, part by part."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .gradient import compute_dtype, gradient_dtype
from .observed import Observed
from .rows import Rows

if TYPE_CHECKING:
    from .terms import Terms

__all__ = ["Found", "chunks", "in_chunks"]

#: Loss, gradient and observations of some rows.
Found = tuple[Tensor, Tensor, Observed | None]

# Elements of a chunk: the temporaries of a chunk stay in a CPU's cache, and a GPU is
# busy with it for longer than it takes to launch the kernels.
_CHUNK = {"cpu": 1 << 18}
_GPU_CHUNK = 1 << 22


def chunks(cls_score: Tensor) -> list[slice] | None:
    """Cut the rows so that the temporaries of a part stay small.

    Args:
        cls_score: Logits, (N, K).

    Returns:
        Ranges of rows; None where all rows are one part, which under ``torch.compile``
        is always so, as compiled code has no temporaries.
    """
    if torch.compiler.is_compiling():
        return None
    n, k = cls_score.shape
    step = max(_CHUNK.get(cls_score.device.type, _GPU_CHUNK) // max(k, 1), 1)
    if n <= step:
        return None
    return [slice(begin, begin + step) for begin in range(0, n, step)]


def in_chunks(
    chunk: Callable[..., Found],
    terms: Terms,
    cls_score: Tensor,
    label: Tensor,
    weight: Tensor | None,
    per_row: bool,
    watch: bool,
) -> Found:
    """Run a kernel over chunks of rows, so that its temporaries stay in the cache.

    Args:
        chunk: ``chunk(terms, which, rows, per_row, watch, guard, out)`` for the
            :class:`Rows` of the slice ``which``, None for all. With ``guard`` it must
            keep the logits of what does not count out of its computation; with ``out``
            it may write the gradient there.
        terms: Of the loss.
        cls_score: Logits, (N, K).
        label: (N,) or (N, K).
        weight: (N,) or (N, K), or None.
        per_row: Whether the loss is that of rows.
        watch: Whether to observe.
    """
    everything = Rows.of(cls_score, label, weight, terms.row)
    if (parts := chunks(cls_score)) is None:
        guard = _must_guard(everything)
        return chunk(terms, None, everything, per_row, watch, guard, None)
    shape = cls_score.shape[:1] if per_row else cls_score.shape
    loss = cls_score.new_empty(shape, dtype=compute_dtype(cls_score))
    slope = torch.empty_like(cls_score, dtype=gradient_dtype(cls_score))
    total = Observed.nothing(cls_score) if watch else None
    for which in parts:
        rows, out = everything.part(which), slope[which]
        loss[which], found, seen = chunk(
            terms, which, rows, per_row, watch, _must_guard(rows), out
        )
        if found is not out:
            out.copy_(found)
        if total is not None and seen is not None:
            total.add(seen)
    return loss, slope, total


def _must_guard(rows: Rows) -> bool:
    """Tell whether logits that do not count have to be kept out of the computation.

    They may be infinite or not a number, which a factor of 0 does not mend. To look
    costs little on a CPU, where it saves a pass; elsewhere it would be waited for.
    """
    if rows.counted is None:
        return False
    if torch.compiler.is_compiling() or rows.cls_score.device.type != "cpu":
        return True
    idle = ~rows.counted
    if not idle.any():
        return False
    spared = rows.cls_score[idle.squeeze(1) if idle.size(1) == 1 else idle]
    return not spared.isfinite().all()
