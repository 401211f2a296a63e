"""Box regression by class, with a part that all classes share."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from imb_det.core import check_number
from imb_det.registry import MODELS

__all__ = ["CABLinear"]


@MODELS.register_module()
class CABLinear(nn.Linear):
    r"""Regression of boxes with a class-agnostic branch (CAB).

    .. math:: W'_c = \alpha\, W_0 + (1 - \alpha)\, W_c, \qquad
              b'_c = \alpha\, b_0 + (1 - \alpha)\, b_c

    Rare classes have too few boxes for weights of their own; the shared ones learn from
    all. :math:`\alpha = 0` is a layer with weights by class, 1 one that they share.

    Write it as ``reg_predictor_cfg=dict(type='imb_det.CABLinear')`` of a box head with
    ``reg_class_agnostic=False``.

    Args:
        *args: Of ``nn.Linear``.
        alpha: Share of the shared weights, in [0, 1]. Default 0.5.
        box_dim: Outputs of one class, which must divide those of the layer. Default 4.
        **kwargs: Of ``nn.Linear``.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range, or a
            layer with the outputs of one class alone.

    Source: "class-agnostic branch", ECCV 2024, arXiv 2401.15885, with its 0.5.
    """

    def __init__(
        self, *args: Any, alpha: float = 0.5, box_dim: int = 4, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        name = type(self).__name__
        check_number(name, "alpha", alpha, 0, 1)
        check_number(name, "box_dim", box_dim, 1, None)
        if not isinstance(box_dim, int):
            raise TypeError(
                f"{name}: `box_dim` must be a whole number, got {box_dim!r}"
            )
        if self.out_features % box_dim:
            raise ValueError(
                f"{name}: `box_dim` must divide the {self.out_features} outputs of the "
                f"layer, got {box_dim}"
            )
        self.classes = self.out_features // box_dim
        if self.classes == 1:
            raise ValueError(
                f"{name}: one class, or `reg_class_agnostic=True`, leaves nothing to "
                "share; use `Linear`"
            )
        self.alpha = alpha
        self.shared = nn.Linear(self.in_features, box_dim, self.bias is not None)
        self.init_weights()

    def init_weights(self) -> None:
        """Start as box heads of mmdet do."""
        for layer in (self, self.shared):
            nn.init.normal_(layer.weight, std=0.001)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def in_effect(self) -> tuple[str, str]:
        """Return the share of the shared weights, and how large these are."""
        own = float(self.weight.detach().norm(dim=1).mean()) * (1 - self.alpha)
        shared = float(self.shared.weight.detach().norm(dim=1).mean()) * self.alpha
        does = f"rows of length {own:.3g} by class, {shared:.3g} shared"
        return f"alpha {self.alpha:g}", does

    def forward(self, x: Tensor) -> Tensor:
        """Return the deltas of boxes of features, (..., in_features)."""
        own = 1 - self.alpha
        shared = self.shared.weight.repeat(self.classes, 1)
        weight = self.alpha * shared + own * self.weight
        bias = None
        if self.bias is not None:
            repeated = self.shared.bias.repeat(self.classes)
            bias = self.alpha * repeated + own * self.bias
        return F.linear(x, weight, bias)
