"""The logits of classes in the output of one layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from imb_det.losses import ScaledSoftmaxLink

__all__ = ["ClassifierOutput"]


@dataclass(frozen=True)
class ClassifierOutput:
    """Output of a layer that classifies.

    Args:
        name: Path of the layer in the detector.
        layer: Linear, (..., K) out, or convolution, (B, A * K, H, W) out.
        channels: K, outputs of one box, or of one expert of several.
        num_classes: C; the first ones of K.
        exclusive: Whether the classes exclude one another, as with a softmax.
        links: Of one expert after the other, where they multiply the outputs before
            they make probabilities; none where the outputs are the logits.
    """

    name: str
    layer: nn.Module
    channels: int
    num_classes: int
    exclusive: bool
    links: tuple[nn.Module, ...] = ()

    def apply(self, output: Tensor, change: Any) -> Tensor:
        """Return the output with changed logits of the classes.

        Args:
            output: Of the layer.
            change: Function of the logits (..., C) and of :attr:`exclusive`.
        """
        is_map = isinstance(self.layer, nn.Conv2d)
        rows = output
        if not is_map and output.size(-1) != self.channels:
            rows = output.reshape(*output.shape[:-1], -1, self.channels)
        if is_map:
            batch, _, height, width = output.shape
            rows = output.reshape(batch, -1, self.channels, height, width)
            rows = rows.movedim(2, -1)
        changed = rows.clone()
        classes, factor = rows[..., : self.num_classes], self._factor(rows)
        if factor is None:
            made = change(classes, self.exclusive)
        else:
            made = change(classes * factor, self.exclusive) / factor
        changed[..., : self.num_classes] = made
        changed = changed.movedim(-1, 2) if is_map else changed
        return changed.reshape(output.shape)

    def _factor(self, rows: Tensor) -> Tensor | None:
        """Return what makes logits of outputs, (C,), or (K, C) of K experts."""
        if not self.links:
            return None
        ones = rows.new_ones(self.channels)
        factors = []
        for link in self.links:
            own = link.factor(ones) if isinstance(link, ScaledSoftmaxLink) else None
            factors.append(ones if own is None else own * ones)
        made = torch.stack(factors) if len(factors) > 1 else factors[0]
        return made[..., : self.num_classes]
