"""Maps of classes, as semantic heads pass them to their loss."""

from __future__ import annotations

import torch
from torch import Tensor

from .caller import in_head
from .one_pass import can_look, compute_dtype

__all__ = ["class_maps"]


def class_maps(
    owner: str,
    logits: Tensor,
    labels: Tensor,
    weight: Tensor | None,
    ignore_index: int | None,
) -> tuple[Tensor, Tensor]:
    """Return a mask of each class: what is predicted of it, and where it is.

    Args:
        owner: Name of the loss.
        logits: Float (M, C), or (N, C, ...).
        labels: Classes of the pixels, int (M,) or (N, ...), in [0, C) or ignored.
        weight: None.
        ignore_index: Label of pixels that do not count; None for none.

    Returns:
        Probabilities by the softmax, float (C, M), with a graph, 0 where pixels do not
        count; and bool (C, M). Where nobody has looked, pixels of a label that is no
        class are NaN.

    Raises:
        ValueError: Shapes that do not fit, weights, or, on a CPU, labels that are no
            class.
    """
    by_pixel = logits.movedim(1, -1) if logits.dim() > 2 else logits
    whole = not (labels.is_floating_point() or labels.dtype == torch.bool)
    if logits.dim() < 2 or by_pixel.shape[:-1] != labels.shape or not whole:
        raise ValueError(
            f"{in_head(owner)}: with `use_sigmoid=False` it takes logits (M, C) or (N, "
            "C, ...) and classes of pixels, int (M,) or (N, ...), got "
            f"{tuple(logits.shape)} and {labels.dtype} {tuple(labels.shape)}"
        )
    if weight is not None:
        raise ValueError(
            f"{in_head(owner)}: a loss of maps as wholes has no weights of pixels, got "
            f"{tuple(weight.shape)}"
        )
    classes = by_pixel.size(-1)
    flat, labels = by_pixel.reshape(-1, classes), labels.reshape(-1).long()
    counts = torch.ones_like(labels, dtype=torch.bool)
    if ignore_index is not None:
        counts = labels != ignore_index
    known = (labels >= 0) & (labels < classes)
    if can_look(labels):
        wrong = counts & ~known
        if wrong.any():
            raise ValueError(
                f"{in_head(owner)}: labels must be classes 0 to {classes - 1} or "
                f"`ignore_index={ignore_index}`, got {int(labels[wrong][0])}"
            )
    flat = torch.where(counts[:, None], flat, 0).to(compute_dtype(logits))
    share = flat.softmax(1).t()
    share = torch.where(counts, share, 0)
    if not can_look(labels):
        share = torch.where(counts & ~known, torch.nan, share)
    each = torch.arange(classes, device=labels.device)[:, None]
    return share, (labels == each) & counts
