"""Losses of pixels: every output is a class, and void pixels do not count."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from imb_det.core import check_choice
from imb_det.statistics.class_vector import ClassVector

from .caller import in_head
from .links import Link, SoftmaxLink
from .one_pass import can_look
from .softmax_kernel import softmax_kernel

__all__ = ["OfPixels", "PixelLink"]


class PixelLink(Link):
    """Classes exclude one another, and there is no background: outputs of pixels."""

    use_sigmoid = False
    extra_channels = 0
    kernel = staticmethod(softmax_kernel)

    def probabilities(self, cls_score: Tensor) -> tuple[Tensor, None]:
        """Return the softmax."""
        return cls_score.softmax(-1), None

    def best(self, cls_score: Tensor) -> Tensor:
        """Return the most likely class of each row, int (N,)."""
        return cls_score.argmax(1)


class OfPixels(nn.Module):
    """Base of the losses: the form in which heads of pixels call them.

    Attributes:
        ignore_index: Label of pixels that do not count, like all below 0; None for a
            loss of boxes, whose last output is background.
        avg_non_ignore: Whether a mean is over the pixels that count, not over all.
    """

    ignore_index: int | None = None
    avg_non_ignore = False

    link: Link
    use_sigmoid: bool

    def take_pixels(
        self, ignore_index: int | None, avg_non_ignore: bool = False
    ) -> None:
        """Become a loss of pixels, for heads whose outputs are all classes.

        Args:
            ignore_index: Label of pixels that do not count; None leaves the loss one of
                boxes.
            avg_non_ignore: Whether a mean is over the pixels that count.

        Raises:
            TypeError: No whole number, or no bool.
            ValueError: The loss has no such form, or an option for background.
        """
        name = type(self).__name__
        check_choice(name, "avg_non_ignore", avg_non_ignore, (True, False))
        if ignore_index is None:
            if avg_non_ignore:
                raise ValueError(
                    f"{name}: `avg_non_ignore=True` is for losses of pixels, with "
                    "`ignore_index=255`"
                )
            return
        if isinstance(ignore_index, bool) or not isinstance(ignore_index, int):
            raise TypeError(
                f"{name}: `ignore_index` must be a whole number, got {ignore_index!r}"
            )
        self._check_form(name)
        for part in self.modules():
            if isinstance(part, ClassVector):
                part.with_background = False
                part.form = replace(part.form, with_background=False)
        self.link = PixelLink()
        self.ignore_index = ignore_index
        self.avg_non_ignore = avg_non_ignore

    def _check_form(self, name: str) -> None:
        told = [p for p in self.modules() if getattr(p, "told_by", None) is not None]
        facts: Any = self  # of the losses below
        around = [p for p in self.modules() if isinstance(p, OfPixels)][1:]
        no_form = type(self.link) is not SoftmaxLink or facts.observes or told or around
        if no_form or facts.own_normaliser:
            form = " with `use_sigmoid=True`" * self.use_sigmoid
            raise ValueError(
                f"{name}{form} has no form for pixels (`ignore_index`): semantic heads "
                "predict with the largest of plain logits, and tell a loss nothing but "
                "classes. Use CrossEntropyLoss, AlphaLoss with `use_sigmoid=False`, "
                "VSLoss, LogitAdjustmentLoss or BalancedSoftmaxLoss"
            )
        idle = dict(bg_weight=1.0, background="keep")
        found = {key: getattr(self, key, plain) for key, plain in idle.items()}
        if odd := {key: found[key] for key in idle if found[key] != idle[key]}:
            raise ValueError(
                f"{name}: a loss of pixels (`ignore_index`) knows no background, for "
                f"which {odd} is; give the last class its number in `class_weight`"
            )

    def rows_of(
        self, cls_score: Tensor, label: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None, tuple[int, ...]]:
        """Return pixels as rows, those to ignore with the label -1.

        Args:
            cls_score: Logits, (B, C, ...) or (N, C). Channels that are last in memory
                are not copied.
            label: Classes, int (B, ...) or (N,).
            weight: Factors of that shape, or None.

        Returns:
            (N, C), (N,), (N,) or None; and the shape of the labels.

        Raises:
            TypeError: Labels that are no tensor.
            ValueError: Shapes that do not fit or, on a CPU, a label that is no class.
        """
        name = type(self).__name__
        places = (*cls_score.shape[:1], *cls_score.shape[2:])
        if not isinstance(label, Tensor):
            raise TypeError(
                f"{in_head(name)}: labels of pixels must be a tensor, got "
                f"{type(label).__name__}"
            )
        whole = not (label.is_floating_point() or label.dtype == torch.bool)
        fits = weight is None or tuple(weight.shape) == places
        if cls_score.dim() < 2 or tuple(label.shape) != places or not (whole and fits):
            of_weight = "" if weight is None else f", weights {tuple(weight.shape)}"
            raise ValueError(
                f"{in_head(name)}: logits (B, C, ...) of pixels need labels, int (B, "
                f"...), and weights of that shape, got logits {tuple(cls_score.shape)},"
                f" labels {label.dtype} {tuple(label.shape)}{of_weight}"
            )
        ignored = -1 if self.ignore_index is None else self.ignore_index
        channels = cls_score.size(1)
        rows = cls_score.movedim(1, -1).reshape(-1, channels)
        label = label.reshape(-1).long()
        label = label.masked_fill(label == ignored, -1)
        if can_look(label) and label.numel() and (most := int(label.max())) >= channels:
            raise ValueError(
                f"{in_head(name)}: labels of pixels must be classes 0 to "
                f"{channels - 1}, or {ignored} (`ignore_index`), got {most}"
            )
        return rows, label, None if weight is None else weight.reshape(-1), places
