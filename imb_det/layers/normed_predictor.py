"""Classifiers of which the length of features and weights is taken out."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from imb_det.core import check_number
from imb_det.registry import MODELS

from .span import span

__all__ = ["NormedConv2d", "NormedLinear"]


class _Normed(nn.Module):
    """What both layers share: before ``nn.Linear`` or ``nn.Conv2d``."""

    weight: Tensor
    bias: Any

    def __init__(
        self,
        *args: Any,
        temperature: float | None = None,
        power: float = 1.0,
        eps: float = 1e-6,
        tempearture: float | None = None,
        **kwargs: Any,
    ) -> None:
        name = type(self).__name__
        if temperature is not None and tempearture is not None:
            raise TypeError(
                f"{name}: `temperature` and `tempearture`, mmdet's old spelling, are "
                "one argument; give one of them"
            )
        if temperature is None:
            temperature = 20.0 if tempearture is None else tempearture
        check_number(name, "temperature", temperature, 0, None, open_ends=True)
        check_number(name, "power", power, 0, None)
        check_number(name, "eps", eps, 0, None, open_ends=True)
        super().__init__(*args, **kwargs)
        self.temperature, self.power, self.eps = temperature, power, eps
        self.init_weights()

    def init_weights(self) -> None:
        """Start with weights of a normal distribution and a bias of 0."""
        nn.init.normal_(self.weight, std=0.01)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def in_effect(self) -> tuple[str, str]:
        """Return the temperature, and which lengths of rows it takes out."""
        lengths = self.weight.detach().flatten(1).norm(dim=1)
        told = f"temperature {self.temperature:g}"
        if self.power != 1:
            told += f", power {self.power:g}"
        counted = lengths / (lengths**self.power + self.eps)
        return told, f"rows of length {span(lengths)} count as {span(counted)}"

    def _normed(self, x: Tensor, dims: int | tuple[int, ...]) -> Tensor:
        """Divide by a power of the length along some dimensions."""
        length = torch.linalg.vector_norm(x, dim=dims, keepdim=True)
        return x / (length**self.power + self.eps)


@MODELS.register_module()
class NormedLinear(_Normed, nn.Linear):
    r"""Linear classifier of cosines.

    .. math:: z = T\, \frac{x}{|x|^p + \epsilon} \cdot \frac{w}{|w|^p + \epsilon} + b

    Write it as ``cls_predictor_cfg=dict(type='imb_det.NormedLinear')`` of a box head.

    Args:
        *args: Of ``nn.Linear``.
        temperature: T > 0. Default 20.
        power: p >= 0. Default 1: cosines.
        eps: :math:`\epsilon` > 0. Default 1e-6.
        tempearture: The same as ``temperature``, as mmdet 3.3 spells it.
        **kwargs: Of ``nn.Linear``; ``bias=False`` leaves the bias out.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range.

    Source: Wang et al., "Seesaw Loss for Long-Tailed Instance Segmentation", CVPR 2021,
    section 3.3; checkpoints of mmdet's layer fit.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of features, (..., in_features)."""
        weight = self._normed(self.weight, 1)
        return F.linear(self._normed(x, -1) * self.temperature, weight, self.bias)


@MODELS.register_module()
class NormedConv2d(_Normed, nn.Conv2d):
    """Convolution of cosines, as predictor of masks; see :class:`NormedLinear`.

    Write it as ``predictor_cfg=dict(type='imb_det.NormedConv2d')`` of a mask head.

    Args:
        *args: Of ``nn.Conv2d``.
        temperature: > 0. Default 20.
        power: >= 0. Default 1.
        eps: > 0. Default 1e-6.
        tempearture: The same as ``temperature``, as mmdet 3.3 spells it.
        norm_over_kernel: Whether weights are divided by the length of the whole kernel,
            else by that over channels at each place. Default False.
        **kwargs: Of ``nn.Conv2d``; ``bias=False`` leaves the bias out.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range.

    Source: as of :class:`NormedLinear`.
    """

    def __init__(
        self, *args: Any, norm_over_kernel: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.norm_over_kernel = norm_over_kernel

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of features, (n, in_channels, h, w)."""
        dims: Any = (1, 2, 3) if self.norm_over_kernel else 1
        weight = self._normed(self.weight, dims)
        x = self._normed(x, 1) * self.temperature
        return self._conv_forward(x, weight, self.bias)
