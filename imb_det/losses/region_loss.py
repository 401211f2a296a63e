"""Losses of masks that follow from three sums over the pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from .overlap_loss import OverlapLoss

__all__ = ["RegionLoss"]


class RegionLoss(OverlapLoss):
    r"""Base of losses of the overlap of prediction and mask.

    .. math:: \ell = f\Big(\sum_p u_p t_p,\ \sum_p u_p,\ \sum_p t_p\Big)

    with u the probabilities, or a function of them; with ``squared`` the last two sums
    are of squares. A subclass has :meth:`of_sums`.
    """

    #: Whether the sums of prediction and mask are of squares.
    squared = False

    def of_sums(
        self, both: Tensor, of_pred: Tensor, of_mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the losses, and their derivatives by the first two sums, (N,) each.

        Args:
            both: Sums of u t, (N,).
            of_pred: Sums of u, or of its squares.
            of_mask: Sums of t, or of its squares.
        """
        raise NotImplementedError

    def shares(self, x: Tensor, logits: bool) -> tuple[Tensor, Tensor | None]:
        """Return u and its derivative by ``x``, (N, P); None for a derivative of 1.

        Args:
            x: Logits or probabilities, (N, P).
            logits: Whether ``x`` are logits.
        """
        if not logits:
            return x, None
        p = x.sigmoid()
        return p, torch.addcmul(p, p, p, value=-1)

    def rows(self, x: Tensor, target: Tensor, logits: bool) -> tuple[Tensor, Tensor]:
        """Return the losses of masks and their derivatives."""
        t = target.flatten(1)
        u, of_u = self.shares(x.flatten(1), logits)
        both = (u * t).sum(1)
        if self.squared:
            sums = (u * u).sum(1), (t * t).sum(1)
        else:
            sums = u.sum(1), t.sum(1)
        loss, by_both, by_pred = self.of_sums(both, *sums)
        if self.squared:
            slope = torch.addcmul(t * by_both[:, None], u, 2 * by_pred[:, None])
        else:
            slope = torch.addcmul(by_pred[:, None], t, by_both[:, None])
        return loss, (slope if of_u is None else slope.mul_(of_u)).reshape(x.shape)
