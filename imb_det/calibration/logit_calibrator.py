"""What all calibrators of logits share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["LogitCalibrator", "times_probability"]


class LogitCalibrator(nn.Module):
    """Change of the logits of classes between classifier and activation.

    It happens in prediction alone, before scores are cut, ranked and suppressed. The
    logits of background or objectness stay as they are.

    A subclass defines :meth:`affine`, or :meth:`of_softmax` and :meth:`of_sigmoid`.
    """

    def affine(self, num_classes: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return factor and summand of the logits, (C,) or scalars.

        Args:
            num_classes: C.
            like: A tensor of the device where they are wanted.
        """
        raise NotImplementedError

    def of_softmax(self, logits: Tensor) -> Tensor:
        """Change logits of classes that exclude one another, (..., C)."""
        factor, summand = self.affine(logits.size(-1), logits)
        return logits * factor + summand

    def of_sigmoid(self, logits: Tensor) -> Tensor:
        """Change logits of independent classes, (..., C)."""
        return self.of_softmax(logits)

    def forward(self, logits: Tensor, exclusive: bool) -> Tensor:
        """Return the changed logits, in the type that they came in.

        Args:
            logits: Of classes, without background, (..., C).
            exclusive: Whether the classes exclude one another, as with a softmax.
        """
        change = self.of_softmax if exclusive else self.of_sigmoid
        return change(logits.float()).to(logits.dtype)


def times_probability(logits: Tensor, log_factor: Tensor) -> Tensor:
    r"""Return logits whose sigmoid is that of the given ones times a factor.

    .. math:: z' = \log \frac{p'}{1 - p'}, \qquad p' = f \sigma(z)

    Args:
        logits: z, (..., C).
        log_factor: log f, at most 0; broadcasts.
    """
    log_p = F.logsigmoid(logits) + log_factor
    # 1 - p' to the last digit, also where p' is next to 1 or to 0.
    rest = -torch.expm1(log_p.clamp(max=-torch.finfo(log_p.dtype).tiny))
    return log_p - rest.log()
