"""Logit clipping: a bound on the norm of the logits of a row."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from imb_det.core import CheckContext, Finding, Severity, check_number
from imb_det.registry import MODELS

from .base import ImbalanceLoss
from .elements import Element
from .links import Link
from .one_pass import can_look, compute_dtype
from .reduction import Unreduced
from .rows import where_counted
from .terms import Call
from .wrapper import AS_INSIDE, InnerLoss, LossWrapper

__all__ = ["ClippedLink", "LogitClipLoss", "clip_logits"]

# Powers of these norms stay finite for logits of moderate size.
_SIMPLE = (1.0, 2.0, math.inf)

#: Below this, the most that a class can get is worth a warning.
_SURE = 0.5


@MODELS.register_module()
class LogitClipLoss(LossWrapper):
    r"""A loss of logits whose norm is clipped, in training and in prediction.

    .. math:: \bar z = z \cdot \min\left(1, \tau / \lVert z \rVert_p\right)

    for the K logits z of a row, with the gradient of the norm. No row then has a loss
    or a gradient without a bound, so that a wrong label cannot lead the training.
    Predictions are those of the clipped logits. What does not count, by label or
    weight, is no part of a norm.

    Args:
        loss: Config of the loss of the clipped logits, any of the library.
        tau: Largest norm, > 0. A softmax over K clipped logits reaches at most
            :math:`1 / (1 + (K - 1) e^{-\tau \sqrt{K / (K - 1)}})` (with ``p=2``), which
            a warning tells where it is low. Default None: log(K) + 4, at which that is
            0.98; with sigmoids, each of which may be as large, times
            :math:`K^{1/p}`.
        p: Of the norm, >= 1, also ``inf``. Default 2.
        use_sigmoid: Of ``loss``. Default None, what it says itself.
        reduction: Of ``loss``. Default None, what it says itself.
        loss_weight: Of ``loss``. Default None, what it says itself.
        compiled: Of ``loss``. Default None, what it says itself.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range.

    Example:
        >>> import torch
        >>> clip_logits(torch.tensor([[3.0, 4.0], [0.3, 0.4]]), tau=1.0)
        tensor([[0.6000, 0.8000],
                [0.3000, 0.4000]])

    Source: Wei et al., "Mitigating Memorization of Noisy Labels by Clipping the Model
    Prediction", ICML 2023. The authors' code scales to a norm of ``1 / temp`` what has
    one above ``temp``: its ``temp`` is 1 / tau with another threshold, so its example
    ``--temp 1.5`` is ``tau=0.667``; it predicts with the logits as they are. Deviation:
    one threshold, the same logits in prediction, and the default of ``tau``, without
    which the classes of a detector would not reach its ``score_thr``. Clipping each
    logit by itself, as sigmoids would allow, leaves no gradient beyond ``tau``: the
    norm is that of the row for them too.
    """

    takes_factor = AS_INSIDE

    def __init__(
        self,
        loss: InnerLoss,
        tau: float | None = None,
        p: float = 2.0,
        use_sigmoid: bool | None = None,
        reduction: str | None = None,
        loss_weight: float | None = None,
        compiled: bool | str | None = None,
    ) -> None:
        super().__init__(loss, use_sigmoid, reduction, loss_weight, compiled)
        name = type(self).__name__
        if tau is not None:
            check_number(name, "tau", tau, 0, None, open_ends=True)
        if p != math.inf:
            check_number(name, "p", p, 1, None)
        # In a tuple, so that what it has of the loss inside is not saved twice.
        self._links = (ClippedLink(self.loss, tau, float(p)),)

    @property
    def link(self) -> Link:  # type: ignore[override]
        """The link of the loss inside, of clipped logits."""
        return self._links[0]

    def unreduced(self, cls_score: Tensor, call: Call, per_row: bool) -> Unreduced:
        """Return the loss of the clipped logits."""
        counted, _ = where_counted(call.label, call.weight)
        z = cls_score
        if counted is not None and not (can_look(z) and bool(counted.all())):
            z = torch.where(counted, z, 0)  # it may be anything, also NaN
        z = self._links[0].clipped(z)
        return self.loss.unreduced(z, replace(call, cls_score=z.detach()), per_row)

    def findings(self, context: CheckContext) -> Iterator[Finding]:
        """Yield that the norm is too small for the classes, or for the first bias."""
        if context.train_loop is None or context.class_stats is None:
            return
        link = self._links[0]
        channels = context.class_stats.num_classes + link.extra_channels
        tau, start = link.limit(channels), link.start_bias
        highest = link.highest(channels)
        wanted = ClippedLink(self.loss, None, link.p).limit(channels)
        where = f"{type(self).__name__} around {type(self.loss).__name__}"
        if highest < _SURE:
            yield Finding(
                "clipped_scores",
                Severity.WARNING,
                "clipped logits cannot be sure of a class",
                where,
                f"with `tau={tau:g}` and {channels} outputs no probability exceeds "
                f"{highest:.3g}",
                f"Leave `tau` out, which makes it {wanted:.3g}",
            )
        if start is not None and abs(start) * channels ** (1 / link.p) > tau:
            yield Finding(
                "clipped_bias",
                Severity.WARNING,
                "the bias that a classifier starts with is clipped",
                where,
                f"{channels} outputs at {start:.3g} have a norm of "
                f"{abs(start) * channels ** (1 / link.p):.3g}, and `tau` is {tau:g}",
                f"Raise `tau`, or leave it out, which makes it {wanted:.3g}",
            )


class ClippedLink(Link):
    """The link of a loss, of clipped logits.

    Args:
        loss: The loss, whose link it is at the time.
        tau: Largest norm; None for that of :meth:`limit`.
        p: Of the norm.
    """

    def __init__(self, loss: ImbalanceLoss, tau: float | None, p: float) -> None:
        super().__init__()
        self._loss = (loss,)  # not registered: it is a part of its wrapper
        self.tau, self.p = tau, p

    @property
    def inner(self) -> Link:
        """The link of the loss."""
        return self._loss[0].link

    @property
    def use_sigmoid(self) -> bool:  # type: ignore[override]
        """As of the loss."""
        return self.inner.use_sigmoid

    @property
    def extra_channels(self) -> int:  # type: ignore[override]
        """As of the loss."""
        return self.inner.extra_channels

    @property
    def start_bias(self) -> float | None:  # type: ignore[override]
        """As of the loss."""
        return self.inner.start_bias

    @property
    def one_softmax(self) -> bool:  # type: ignore[override]
        """As of the loss."""
        return self.inner.one_softmax

    @property
    def kernel(self) -> Callable:  # type: ignore[override]
        """As of the loss: for logits that are clipped already."""
        return self.inner.kernel

    @property
    def element(self) -> Element | None:  # type: ignore[override]
        """As of the loss."""
        return self.inner.element

    def limit(self, channels: int) -> float:
        """Return the largest norm of the logits of a row.

        Args:
            channels: K.
        """
        if self.tau is not None:
            return self.tau
        size = math.log(channels) + 4
        return size * channels ** (1 / self.p) if self.use_sigmoid else size

    def highest(self, channels: int) -> float:
        """Return the highest probability that a class can get.

        Args:
            channels: K.
        """
        tau = self.limit(channels)
        if self.use_sigmoid or channels < 2:
            return 1 / (1 + math.exp(-tau))
        # The largest difference between one logit and all others of the same norm.
        share = 1 - 1 / self.p
        others = (channels - 1) ** (-1 / (self.p * share)) if share else 0.0
        gap = tau * (1 + others) ** share
        return 1 / (1 + (channels - 1) * math.exp(-gap))

    def clipped(self, cls_score: Tensor) -> Tensor:
        """Return the clipped outputs.

        Args:
            cls_score: Outputs of the classifier, (..., K).
        """
        return clip_logits(cls_score, self.limit(cls_score.size(-1)), self.p)

    def logits(self, cls_score: Tensor) -> Tensor:
        """Return the clipped logits, as the loss scales them."""
        return self.inner.logits(self.clipped(cls_score))

    def probabilities(self, cls_score: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the probabilities of the clipped logits."""
        return self.inner.probabilities(self.clipped(cls_score))


def clip_logits(cls_score: Tensor, tau: float, p: float = 2.0) -> Tensor:
    r"""Return :math:`z \min(1, \tau / \lVert z \rVert_p)`, at least in float32.

    Args:
        cls_score: Logits z, float (..., K).
        tau: Largest norm, > 0.
        p: Of the norm, >= 1, also ``inf``. Default 2.
    """
    z = cls_score.to(compute_dtype(cls_score))
    if p in _SIMPLE and can_look(z) and z.numel() and _is_moderate(z):
        if p == 2:
            return _Clip.apply(z, tau)  # type: ignore[no-untyped-call]
        norm = torch.linalg.vector_norm(z, p, dim=-1, keepdim=True)
    else:
        # Squares of large logits are infinite, those of shares of the largest are not.
        size = z.detach().abs().amax(-1, keepdim=True).clamp(min=tau)
        norm = size * torch.linalg.vector_norm(z / size, p, dim=-1, keepdim=True)
    # In this order a row that is short enough is divided by 1 exactly.
    return z / (norm / tau).clamp(min=1)


class _Clip(torch.autograd.Function):
    """Clipping by the Euclidean norm, with a gradient in few passes."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, tau: float) -> Tensor:
        norm = torch.linalg.vector_norm(z, dim=-1, keepdim=True)
        factor = (norm / tau).clamp(min=1).reciprocal()
        ctx.save_for_backward(z, norm, factor)
        ctx.tau = tau
        return z * factor

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        z, norm, factor = ctx.saved_tensors
        (gradient,) = grad_outputs
        # A clipped row does not change along itself.
        along = (
            torch.linalg.vecdot(gradient, z)[..., None] / norm.clamp(min=ctx.tau) ** 2
        )
        along = torch.where(norm > ctx.tau, along, 0)
        return torch.addcmul(gradient, z, along, value=-1).mul_(factor), None


def _is_moderate(z: Tensor) -> bool:
    """Tell whether squares of numbers, at hand, are far from all ends of float32."""
    low, high = z.detach().aminmax()
    return float(low) > -1e15 and float(high) < 1e15
