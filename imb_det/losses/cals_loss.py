"""CALS: logits held near one another, class by class, by an augmented Lagrangian."""

from __future__ import annotations

import torch
from torch import Tensor

from imb_det.core import check_choice, check_number
from imb_det.registry import MODELS
from imb_det.statistics.class_vector import ClassVector

from .one_pass import attach_gradient, can_look, chunks, compute_dtype, gradient_dtype
from .penalties import PENALTIES, penalty_of
from .reduction import Unreduced
from .rows import where_counted
from .terms import Call
from .wrapper import InnerLoss, LossWrapper

__all__ = ["CALSLoss"]

_TOLD_BY = (
    "`custom_hooks = [dict(type='imb_det.ImbalanceHook'), dict(type='imb_det.CALSHook',"
    " held_out=dict(...))]`, which finds the multipliers on held-out training images "
    "(in a loop of your own: `set_multipliers`),"
)

#: Where the authors start, and what a loss without a hook predicts a loss with.
START_MULTIPLIER, START_RHO = 1e-6, 1.0


@MODELS.register_module()
class CALSLoss(LossWrapper):
    r"""Class-adaptive label smoothing by an augmented Lagrangian.

    .. math:: L_i = \ell_i + \frac{1}{K} \sum_{c=1}^K P(h_{ic}; \lambda_c, \rho_c),
              \qquad h_{ic} = \frac{\max_k z_{ik} - z_{ic} - m}{m}

    for each row of a softmax loss with the K logits z, of classes and background: where
    a logit falls more than the margin m below the largest one, the penalty P holds it
    back, as smoothed targets would. How much it does so is found for each class, while
    training, by ``imb_det.CALSHook``.

    Args:
        loss: Config of the loss of rows, with one softmax over classes and background:
            of the library CrossEntropyLoss, VSLoss and its kin, LDAMLoss, CDBLoss,
            IIFLoss and AlphaLoss.
        margin: m, > 0, of the logits as the softmax takes them. Default 10.
        penalty: ``'phr'``, ``'p2'`` or ``'p3'``, see
            :func:`imb_det.losses.penalties.penalty_of`. Default ``'phr'``.
        normalize: Whether h is divided by the margin. Default True.
        use_sigmoid: Of ``loss``, False. Default None, what it says itself.
        reduction: Of ``loss``. Default None, what it says itself.
        loss_weight: Of ``loss``, and of the penalty. Default None, what it says itself.
        compiled: Of ``loss``. Default None, what it says itself.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range, or the
            loss inside is none of those.
        RuntimeError: In the first training step, without the hook.

    Example:
        >>> import torch
        >>> loss = CALSLoss(dict(type="imb_det.CrossEntropyLoss"), margin=2.0)
        >>> loss.constraints(torch.tensor([[4.0, 0.0, 3.0]]))
        tensor([[-1.0000,  1.0000, -0.5000]])

    Source: Liu et al., "Class Adaptive Network Calibration", CVPR 2023, equations 6 to
    10, with the defaults of the README of the authors' code, whose class by itself has
    ``penalty='p2'``. Deviations: background is a class among the others, rows have
    their weights, and beyond h = 100 the penalty is a straight line.
    """

    def __init__(
        self,
        loss: InnerLoss,
        margin: float = 10.0,
        penalty: str = "phr",
        normalize: bool = True,
        use_sigmoid: bool | None = None,
        reduction: str | None = None,
        loss_weight: float | None = None,
        compiled: bool | str | None = None,
    ) -> None:
        super().__init__(loss, use_sigmoid, reduction, loss_weight, compiled)
        name = type(self).__name__
        check_number(name, "margin", margin, 0, None, open_ends=True)
        check_choice(name, "penalty", penalty, PENALTIES)
        check_choice(name, "normalize", normalize, (True, False))
        self.require_softmax("compares the logits of a row with one another")
        self.margin, self.penalty, self.normalize = float(margin), penalty, normalize
        self.multiplier, self.rho = (
            ClassVector(name, key, told_by=_TOLD_BY, with_background=True)
            for key in ("multiplier", "rho")
        )

    def set_multipliers(self, multiplier: Tensor, rho: Tensor) -> None:
        r"""Take the multipliers and the factors of the penalty from now on.

        Args:
            multiplier: :math:`\lambda` of classes and background, float (C + 1,), > 0;
                or one for all, ().
            rho: :math:`\rho`, the same.
        """
        self.multiplier.tell(multiplier)
        self.rho.tell(rho)

    def constraints(self, logits: Tensor) -> Tensor:
        """Return h of each logit, at most 0 where the margin holds.

        Args:
            logits: z, as the softmax takes them, float (N, K).
        """
        h = logits.amax(1, keepdim=True) - logits - self.margin
        return h / self.margin if self.normalize else h

    def penalties(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return the penalty of each logit, and its derivative by h.

        Args:
            h: Of :meth:`constraints`, (N, K).
        """
        multiplier = self.multiplier(h.size(1) - 1, h)
        rho = self.rho(h.size(1) - 1, h)
        if multiplier is None or rho is None:  # in a test, of a loss without a training
            multiplier, rho = h.new_tensor(START_MULTIPLIER), h.new_tensor(START_RHO)
        return penalty_of(self.penalty, h, multiplier.to(h.dtype), rho.to(h.dtype))

    def unreduced(self, cls_score: Tensor, call: Call, per_row: bool) -> Unreduced:
        """Return the loss with the penalty of its rows."""
        found = self.loss.unreduced(cls_score, call, per_row)
        counted, factor = where_counted(call.label, call.weight)
        z = cls_score.to(compute_dtype(cls_score))
        if counted is not None and not (can_look(z) and bool(counted.all())):
            z = torch.where(counted, z, 0)  # it may be anything, also NaN
        z = self.link.logits(z)
        with torch.no_grad():
            value, slope = self._of_rows(z.detach())
            if factor is not None:
                value, slope = value * factor, slope * factor
            value, slope = value.to(z.dtype), slope.to(gradient_dtype(z))
        penalty = attach_gradient(z, value.squeeze(1), slope)
        return found._replace(loss=found.loss + penalty)

    def _of_rows(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the penalty of each row, (N, 1), and its derivative by logits."""
        parts = [self._of_chunk(z[which]) for which in chunks(z)]
        if len(parts) == 1:
            return parts[0]
        values, slopes = zip(*parts, strict=True)
        return torch.cat(values), torch.cat(slopes)

    def _of_chunk(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the same of some rows, so that what is in between stays small."""
        channels = z.size(1)
        value, push = self.penalties(self.constraints(z))
        push = push / (-channels * (self.margin if self.normalize else 1.0))
        # The largest logit is in all of them.
        pull = -push.sum(1, keepdim=True)
        slope = push.scatter_add_(1, z.argmax(1, keepdim=True), pull)
        return value.mean(1, keepdim=True), slope
