"""Lovasz losses: the convex surrogate of intersection over union."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from imb_det.registry import MODELS

from .one_pass import multiplied
from .overlap_loss import OverlapLoss

__all__ = ["LovaszLoss"]


@MODELS.register_module()
class LovaszLoss(OverlapLoss):
    r"""Lovasz hinge of masks, or Lovasz softmax of classes.

    .. math:: \ell = \sum_{k=1}^P m_{(k)}\, \big(J_k - J_{k-1}\big), \qquad
              m_{(1)} \ge m_{(2)} \ge \dots

    where J_k is 1 - intersection / union of the mask with what is predicted when the k
    pixels with the largest errors m are wrong. The errors are

    .. math:: m = \max(0,\ 1 - (2 t - 1)\, z), \qquad m = |t - p|

    with logits of masks, and with probabilities: those of the softmax in semantic heads
    (``use_sigmoid=False``), and those of a head with ``activate=False``. At errors of 0
    and 1 the loss is 1 - IoU. It weighs a small mask as much as a large one, and pixels
    by what they do to the IoU. In the first iterations it is noisy: put it in place of
    dice beside a cross entropy, or fine-tune with it.

    Args:
        **kwargs: See :class:`OverlapLoss`.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range.

    Source: Berman, Rannen Triki, Blaschko, "The Lovasz-Softmax loss", CVPR 2018,
    equations 8 to 12, algorithm 1. Deviations: masks of points between pixels, as
    Mask2Former samples them, are cut at 0.5; instances in place of images; an instance
    with an empty mask has the loss of its largest error, and a class that is not there
    has none.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def rows(
        self,
        x: Tensor,
        target: Tensor,
        logits: bool,
        factor: Tensor,
        out: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the losses of masks, and their derivatives times a factor."""
        x, target = x.flatten(1), target.flatten(1)
        mask = (target >= 0.5).to(x.dtype) + 0 * target  # a target of NaN stays one
        toward = 1 - 2 * mask  # where the error rises: down inside, up outside
        error = (1 + toward * x).clamp(min=0) if logits else mask + toward * x
        errors, order = error.sort(1, descending=True)
        steps = _jaccard_steps(mask.gather(1, order))
        loss = (errors * steps).sum(1)
        if logits:
            steps = torch.where(errors > 0, steps, 0)
        steps = steps * factor[:, None]
        slope = torch.empty_like(x).scatter_(1, order, steps)
        return loss, multiplied(slope, toward, out)


def _jaccard_steps(mask: Tensor) -> Tensor:
    """Return by how much 1 - IoU grows with each pixel that is wrong, (N, P).

    Args:
        mask: 0 or 1, in the order in which pixels become wrong, (N, P).
    """
    total = mask.sum(1, keepdim=True)
    inside = mask.cumsum(1)
    count = torch.arange(1, mask.size(1) + 1, dtype=mask.dtype, device=mask.device)
    lost = 1 - (total - inside) / (total + count - inside)
    return torch.cat([lost[:, :1], lost[:, 1:] - lost[:, :-1]], 1)
