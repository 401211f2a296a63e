"""Losses of masks that follow from three sums over the pixels."""

from __future__ import annotations

from collections.abc import Callable

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

    def shares(
        self, x: Tensor, logits: bool
    ) -> tuple[Tensor, Callable[[], Tensor] | None]:
        """Return u, (N, P), and what returns its derivative by ``x``, in place of u.

        Args:
            x: Logits or probabilities, (N, P).
            logits: Whether ``x`` are logits.

        Returns:
            Both; None for a derivative of 1.
        """
        if not logits:
            return x, None
        p = x.sigmoid()
        return p, lambda: torch.addcmul(p, p, p, value=-1, out=p)

    def rows(
        self,
        x: Tensor,
        target: Tensor,
        logits: bool,
        factor: Tensor,
        out: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the losses of masks, and their derivatives times a factor."""
        t = target.flatten(1)
        u, of_u = self.shares(x.flatten(1), logits)
        # Memory that is new costs as much as what is computed in it.
        spare = torch.mul(u, t, out=out)
        both = spare.sum(1)
        if self.squared:
            sums = (u * u).sum(1), (t * t).sum(1)
        else:
            sums = u.sum(1), t.sum(1)
        loss, by_both, by_pred = self.of_sums(both, *sums)
        by_both, by_pred = (factor * by_both)[:, None], (factor * by_pred)[:, None]
        slope = torch.mul(t, by_both, out=spare)
        if self.squared:
            slope.add_(u * (2 * by_pred))
        else:
            slope.add_(by_pred)
        return loss, slope if of_u is None else slope.mul_(of_u())
