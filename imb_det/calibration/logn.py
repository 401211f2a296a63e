"""Calibration by mean and spread of the logits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from imb_det.core import check_number
from imb_det.registry import MODELS
from imb_det.statistics.exact_buffers import ExactBuffers

from .logit_calibrator import LogitCalibrator

__all__ = ["LogN"]


@MODELS.register_module()
class LogN(ExactBuffers, LogitCalibrator):
    r"""Logit normalisation.

    .. math:: z'_c = \frac{z_c - (\mu_c - \min_k \mu_k)}{\sigma_c}

    with mean and standard deviation of the logits of each class over the boxes that a
    box head is trained on, sampled as in training, a quarter of them objects, say;
    background keeps its logit. In other heads they are over all rows of the images.

    Args:
        mean: :math:`\mu`, C numbers, as ``tools/calibrate.py`` finds them.
        std: :math:`\sigma`, C numbers > 0.

    Raises:
        TypeError, ValueError: No numbers, others than one a class, or out of range.

    Example:
        >>> calibrator = LogN(mean=[-1.0, -3.0], std=[2.0, 1.0])
        >>> calibrator(torch.ones(1, 2), exclusive=True)
        tensor([[-0.5000,  1.0000]])

    Source: Zhao et al., "Logit Normalization for Long-tail Object Detection", IJCV
    2024. Mean and spread are exact over the images, where the authors' code has moving
    averages over an epoch of training.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        for name, numbers, low in (("mean", mean, float("-inf")), ("std", std, 0)):
            if not isinstance(numbers, (Sequence, np.ndarray)):
                raise TypeError(
                    f"LogN: `{name}` must be a list, one number for each class, got "
                    f"{numbers!r}"
                )
            for value in numbers:
                check_number("LogN", name, value, low, None, open_ends=True)
        if len(mean) != len(std) or not len(mean):
            raise ValueError(
                f"LogN: `mean` has {len(mean)} numbers and `std` {len(std)}; both must "
                "have one for each class"
            )
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)

    def affine(self, num_classes: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return factor and summand."""
        if len(self.mean) != num_classes:
            raise ValueError(
                f"LogN: `mean` has {len(self.mean)} numbers, but the head has "
                f"{num_classes} classes"
            )
        mean, factor = self.mean.to(like.device), 1 / self.std.to(like.device)
        return factor, -(mean - mean.min()) * factor
