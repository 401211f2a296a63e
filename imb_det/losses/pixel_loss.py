"""Losses of pixels, of the hardest of each class alone where asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from imb_det.core import check_choice, check_number
from imb_det.registry import MODELS
from imb_det.statistics.class_vector import ClassVector

from .base import ImbalanceLoss
from .one_pass import chunks, compute_dtype
from .reduction import REDUCTIONS
from .wrapper import InnerLoss, inner_loss

__all__ = ["PixelLoss", "hardest_pixels"]


@MODELS.register_module()
class PixelLoss(nn.Module):
    r"""A loss of pixels, with a quota of the hardest ones for each class.

    Of the :math:`n_c` pixels of class c in a call, it keeps the :math:`k_c` with the
    least probability of their class, and all below a threshold:

    .. math::
        k_c = \min(n_c, \max(\lceil s_c n_c \rceil, m)), \qquad
        \text{kept} = [\mathrm{rank}_c < k_c] \vee [p_y < t]

    The others count as little as void ones do. So a rare class keeps its pixels beside
    the many hard ones of frequent classes. It makes any loss with one softmax, such as
    :class:`imb_det.LogitAdjustmentLoss`, one for ``loss_seg`` of semantic heads.

    Args:
        loss: Config of the loss of the pixels, such as
            ``dict(type='imb_det.CrossEntropyLoss')``.
        ignore_index: Label of pixels that do not count. Default 255.
        avg_non_ignore: Whether a mean is over the pixels that are kept. Default False,
            over all in the call, as mmdet's.
        share: s, part of its pixels that each class keeps, in [0, 1]: a number, a list
            or a dict by class name; others keep all. Default 1, all pixels.
        min_kept: m, pixels that each class keeps at least, if it has them. Default 0.
        thresh: t, probability of its class below which a pixel is kept in any case, in
            [0, 1]. Default 0, none.
        loss_weight: Of the loss inside. Default None, what it says itself.
        reduction: Of the loss inside. Default None, what it says itself.

    Raises:
        TypeError, ValueError: An argument of another type or out of range, a loss that
            has no form for pixels, or options that have no effect.

    Example:
        >>> loss_seg = dict(
        ...     type="imb_det.PixelLoss",
        ...     loss=dict(type="imb_det.CrossEntropyLoss"),
        ...     share=0.25,
        ...     min_kept=1000,
        ...     loss_weight=0.5,
        ... )

    Source: Shrivastava et al., "Training Region-based Object Detectors with Online Hard
    Example Mining", CVPR 2016, for pixels with a threshold as in MMSegmentation's
    ``OHEMPixelSampler``. Deviations: the quota is of each class in place of all pixels;
    pixels are ranked by the plain softmax, whatever the loss; on several GPUs each has
    the quotas of its own images, as there.
    """

    def __init__(
        self,
        loss: InnerLoss,
        ignore_index: int = 255,
        avg_non_ignore: bool = False,
        share: float | Sequence[float] | Mapping[str, float] = 1.0,
        min_kept: int = 0,
        thresh: float = 0.0,
        loss_weight: float | None = None,
        reduction: str | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        given: dict[str, Any] = {}
        if loss_weight is not None:
            check_number(name, "loss_weight", loss_weight, 0, None)
            given["loss_weight"] = loss_weight
        if reduction is not None:
            check_choice(name, "reduction", reduction, REDUCTIONS)
            given["reduction"] = reduction
        self.loss: ImbalanceLoss = inner_loss(name, loss, given)
        if ignore_index is None:
            raise TypeError(f"{name}: `ignore_index` must be a whole number, got None")
        inside = self.loss.ignore_index
        if inside not in (None, ignore_index):
            raise ValueError(
                f"{name}: `ignore_index={ignore_index!r}`, but the loss inside has "
                f"{inside!r}; write it once, into {name}"
            )
        self.loss.take_pixels(ignore_index, avg_non_ignore or self.loss.avg_non_ignore)
        if isinstance(min_kept, bool) or not isinstance(min_kept, int):
            raise TypeError(
                f"{name}: `min_kept` must be a whole number, got {min_kept!r}"
            )
        check_number(name, "min_kept", min_kept, 0, None)
        check_number(name, "thresh", thresh, 0, 1)
        if share is None:
            raise TypeError(f"{name}: `share` must be a number, a list or a dict")
        self.share = ClassVector(name, "share", share, default=1.0, high=1)
        self.min_kept, self.thresh = min_kept, float(thresh)
        self.mines = share != 1
        if not self.mines and (min_kept or thresh):
            raise ValueError(
                f"{name}: `min_kept={min_kept!r}` and `thresh={thresh!r}` have no "
                "effect where `share` is 1, with which all pixels are kept"
            )
        if share == 0 and not (min_kept or thresh):
            raise ValueError(
                f"{name}: `share=0` without `min_kept` and `thresh` keeps no pixel"
            )

    @property
    def ignore_index(self) -> int | None:
        """Label of pixels that do not count."""
        return self.loss.ignore_index

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Return the loss.

        Args:
            cls_score: Logits, float (B, C, ...) or (N, C).
            label: Class of each pixel, int (B, ...) or (N,), ``ignore_index`` or below
                0 for void.
            weight: Factor of each pixel, of that shape.
            avg_factor: That the sum is divided by in place of the number of pixels.
            reduction_override: Reduction of this call.
            **kwargs: None are known.

        Returns:
            Scalar, or with ``'none'`` of the shape of the labels.
        """
        if self.mines:
            rows, labels, factor, places = self.loss.rows_of(cls_score, label, weight)
            with torch.no_grad():
                share = self.share(rows.size(1), rows)
                known = labels if factor is None else labels.where(factor != 0, -1)
                kept = hardest_pixels(
                    rows.detach(), known, share, self.min_kept, self.thresh
                )
                labels = labels.where(kept, -1)
            found: Tensor = self.loss(
                rows, labels, factor, avg_factor, reduction_override, **kwargs
            )
            return found if found.dim() == 0 else found.reshape(places)
        value: Tensor = self.loss(
            cls_score, label, weight, avg_factor, reduction_override, **kwargs
        )
        return value


@torch.no_grad()
def hardest_pixels(
    logits: Tensor,
    label: Tensor,
    share: Tensor | None,
    min_kept: int = 0,
    thresh: float = 0.0,
) -> Tensor:
    """Tell which pixels are among the hardest of their class; no host is waited for.

    Args:
        logits: Float (N, C).
        label: Class of each pixel, int64 (N,), below 0 for void.
        share: Part of the pixels of each class that is kept, (C,) or (); None for 1.
        min_kept: Pixels that each class keeps at least.
        thresh: Probability below which a pixel is kept in any case.

    Returns:
        Bool (N,). Of equal pixels the first ones are kept.
    """
    channels = logits.size(1)
    own = label.clamp(min=0, max=channels - 1)
    log_p = logits.new_empty(len(logits), dtype=compute_dtype(logits))
    for which in chunks(logits):
        z = logits[which].to(log_p.dtype)
        mine = z.gather(1, own[which][:, None]).squeeze(1)
        log_p[which] = mine - z.logsumexp(1)
    is_void = label < 0
    group = torch.where(is_void, channels, own)
    # By class, and within it by the probability: a stable sort keeps the first order.
    order = log_p.argsort(stable=True)
    order = order[group[order].argsort(stable=True)]
    ones = torch.ones_like(group)
    number = ones.new_zeros(channels + 1).scatter_add(0, group, ones)
    first = number.cumsum(0) - number
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order), device=order.device) - first[group[order]]
    part = number.new_ones((), dtype=torch.float64) if share is None else share.double()
    # Shares are of single precision: 0.1 of 10 is 1.
    wanted = part.expand(channels) * number[:channels] * (1 - 1e-7)
    wanted = wanted.ceil().long()
    wanted = torch.cat([wanted.clamp(min=min_kept), wanted.new_zeros(1)])
    kept = (place < wanted[group]) | (log_p.exp() < thresh)
    return kept & ~is_void
