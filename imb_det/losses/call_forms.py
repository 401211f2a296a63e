"""Forms in which heads call losses: rows of one image or several, and pairs."""

from __future__ import annotations

from typing import Any, NoReturn

from torch import Tensor

from .caller import in_head, instead

__all__ = ["flattened", "no_labels", "refuse_masks", "with_quality"]


def no_labels(owner: str, found: str) -> TypeError:
    """Make the error of what can be no labels.

    Args:
        owner: Name of the loss.
        found: What was given.
    """
    return TypeError(
        f"{in_head(owner)}: `label` must be a tensor, or a pair of tensors, labels and "
        f"qualities, got {found}"
    )


def refuse_masks(owner: str, shape: tuple[int, ...]) -> NoReturn:
    """Refuse logits that are no rows of classes."""
    place = in_head(owner)
    of_masks = len(shape) > 2 and ("loss_mask" in place or place == owner)
    masks = "; the loss of a mask head is made with `use_mask=True`" * of_masks
    raise ValueError(
        f"{place}: `cls_score` must have shape (N, channels), got {shape}{masks}; "
        f"{instead(owner)}"
    )


def flattened(
    owner: str, cls_score: Tensor, label: Tensor, weight: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the rows of several images, (B, N, ...), as those of one.

    Args:
        owner: Name of the loss.
        cls_score: Logits, (B, N, K).
        label: Targets of the same shape.
        weight: Factors of the same shape, or (B, N, 1), or None.

    Raises:
        ValueError: Shapes that do not fit.
    """
    shape = tuple(cls_score.shape)
    if "`loss_mask`" in in_head(owner):
        refuse_masks(owner, shape)
    fits = weight is None or tuple(weight.shape) in (shape, (*shape[:2], 1))
    if tuple(label.shape) != shape or not fits:
        of_weight = "" if weight is None else f", weights {tuple(weight.shape)}"
        raise ValueError(
            f"{in_head(owner)}: logits {shape} need targets of that shape, and weights "
            f"of that or {(*shape[:2], 1)}, got targets {tuple(label.shape)}{of_weight}"
        )
    if weight is not None:
        weight = weight.flatten(0, 1)
        weight = weight[:, 0] if weight.size(1) == 1 else weight
    return cls_score.flatten(0, 1), label.flatten(0, 1), weight


def with_quality(
    owner: str, label: Any, takes_quality: bool
) -> tuple[Any, Tensor | None]:
    """Take a pair of labels and qualities apart; other labels have no quality.

    Args:
        owner: Name of the loss.
        label: As the head passes it.
        takes_quality: Whether the loss has a target of its own for a class.

    Raises:
        TypeError: A pair, and the loss has not, or no pair of tensors.
    """
    if not isinstance(label, (tuple, list)):
        return label, None
    if len(label) != 2 or not all(isinstance(part, Tensor) for part in label):
        kinds = [type(part).__name__ for part in label]
        raise no_labels(owner, f"{type(label).__name__} of {kinds}")
    if not takes_quality:
        raise TypeError(
            f"{in_head(owner)}: it gets (label, quality), and has no loss that is "
            "least where the score of a class is a quality: `loss_cls=dict(type="
            "'imb_det.QualityFocalLoss', use_sigmoid=True)`"
        )
    return label[0], label[1]
