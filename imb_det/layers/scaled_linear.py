"""Linear classifiers whose classes are scaled, or aligned, in a second stage."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from imb_det.registry import MODELS

from .span import span

__all__ = ["DisAlignLinear", "ScaledLinear"]


@MODELS.register_module()
class ScaledLinear(nn.Linear):
    r"""Linear classifier with a learnt scale for each output (LWS).

    .. math:: z_c = s_c\, (w_c \cdot x + b_c)

    Scales are 1 at the start, where it is a linear layer, bit for bit. The first stage
    trains everything but them, the second one nothing else; ``imb_det.FreezeHook`` does
    so with ``features=dict(freeze=['roi_head.bbox_head.fc_cls.scale'])`` and
    ``classifier=dict(train_only=['roi_head.bbox_head.fc_cls.scale'])``.

    Write it as ``cls_predictor_cfg=dict(type='imb_det.ScaledLinear')`` of a box head.
    The output for background has a scale as well.

    Args:
        *args: Of ``nn.Linear``.
        **kwargs: Of ``nn.Linear``.

    Source: Kang et al., "Decoupling Representation and Classifier for Long-Tailed
    Recognition", ICLR 2020, section 4.2; as there in code, the bias is scaled too.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scale = nn.Parameter(torch.ones(self.out_features))

    def reset_parameters(self) -> None:
        """Start as a linear layer."""
        super().reset_parameters()
        if hasattr(self, "scale"):
            nn.init.ones_(self.scale)

    def in_effect(self) -> tuple[str, str]:
        """Return the present scales, and whether they learn."""
        told = "learnt now" if self.scale.requires_grad else "at rest"
        return told, f"scales of {span(self.scale)}"

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of features, (..., in_features)."""
        return super().forward(x) * self.scale


@MODELS.register_module()
class DisAlignLinear(nn.Linear):
    r"""Linear classifier whose logits are aligned where a gate is open (DisAlign).

    .. math:: \hat z_c = z_c + \sigma(v \cdot x + u)\, ((\alpha_c - 1)\, z_c + \beta_c)

    with a scale and a shift for each class, and one gate for each box. At the start
    :math:`\alpha = 1`, :math:`\beta = 0`, where it is a linear layer, bit for bit. The
    last outputs, background, are as they are. ``align_scale``, ``align_bias`` and
    ``confidence`` are trained in the second stage alone, with
    ``class_weight=dict(rule='power', power=0.8, normalize='classes')`` of the loss, the
    generalised re-weighting of the authors, with their power for LVIS.

    Write it as ``cls_predictor_cfg=dict(type='imb_det.DisAlignLinear')`` of a box head.

    Args:
        *args: Of ``nn.Linear``.
        background: Outputs at the end that stay, >= 0: 1 with a softmax, 0 with
            sigmoids of the classes. Default 1.
        **kwargs: Of ``nn.Linear``.

    Raises:
        TypeError, ValueError: ``background`` is no such number.

    Source: Zhang et al., "Distribution Alignment: A Unified Framework for Long-tail
    Visual Recognition", CVPR 2021, equations 6 and 7, which are written as
    :math:`\sigma (\alpha z + \beta) + (1 - \sigma) z`, the same but for rounding.
    """

    def __init__(self, *args: Any, background: int = 1, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name = type(self).__name__
        if isinstance(background, bool) or not isinstance(background, int):
            raise TypeError(
                f"{name}: `background` must be a whole number, got {background!r}"
            )
        classes = self.out_features - background
        if background < 0 or classes < 1:
            raise ValueError(
                f"{name}: `background` must be from 0 to {self.out_features - 1}, less "
                f"than the outputs, got {background}"
            )
        self.background = background
        self.align_scale = nn.Parameter(torch.ones(classes))
        self.align_bias = nn.Parameter(torch.zeros(classes))
        self.confidence = nn.Linear(self.in_features, 1)
        self.init_weights()

    def init_weights(self) -> None:
        """Start as a linear layer, with a gate that is half open."""
        nn.init.ones_(self.align_scale)
        nn.init.zeros_(self.align_bias)
        nn.init.normal_(self.confidence.weight, std=0.01)
        nn.init.zeros_(self.confidence.bias)

    def in_effect(self) -> tuple[str, str]:
        """Return the present scales and shifts, and whether they learn."""
        told = "learnt now" if self.align_scale.requires_grad else "at rest"
        shifts = span(self.align_bias)
        return told, f"scales of {span(self.align_scale)}, shifts of {shifts}"

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of features, (..., in_features)."""
        logits = super().forward(x)
        classes = logits[..., : len(self.align_scale)]
        change = (self.align_scale - 1) * classes + self.align_bias
        aligned = classes + self.confidence(x).sigmoid() * change
        return torch.cat([aligned, logits[..., len(self.align_scale) :]], dim=-1)
