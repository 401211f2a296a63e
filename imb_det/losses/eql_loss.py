"""Losses in which rare classes are not pushed down by the others."""

from __future__ import annotations

from imb_det.core import check_choice
from imb_det.registry import MODELS

from .base import ImbalanceLoss
from .links import RARE_BIAS, SigmoidLink
from .tail_negatives import Tail, TailNegatives
from .terms import Call, Terms

__all__ = ["DropLoss", "EQLLoss"]


@MODELS.register_module()
class EQLLoss(ImbalanceLoss):
    r"""Equalization loss: rare classes are no negatives of foreground rows.

    .. math:: L = -\sum_c w_c \left(y_c \log p_c + (1 - y_c) \log (1 - p_c)\right),
              \quad w_c = 1 - E\, [f_c < \lambda]\, (1 - y_c)

    with E = 1 for rows of an object, 0 for background, and the share :math:`f_c` of
    images that hold class c. Sigmoid with C outputs, which start with a bias of
    logit(0.001).

    Args:
        threshold: Share :math:`\lambda` of images below which a class is rare, >= 0;
            0 is plain cross entropy. Default 1.1e-3, the authors' for LVIS v1.
        num_images: Number of images that it is a share of. The authors take images
            with annotations (99,388 of LVIS v1), others all. Default None: all images
            of the training set, as its filters leave it.
        tail: ``'frequency'`` for that rule; or 1 for each rare class and 0 for the
            others, as a list or by class name (others 0). Default ``'frequency'``.
        use_sigmoid: Must be True. Default True.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        compiled: Whether to compile the loss; ``'auto'`` does on a GPU. Default
            ``'auto'``.

    Raises:
        TypeError, ValueError: At construction for an argument; when training starts
            for a ``tail`` that does not fit the classes.

    Example:
        >>> import torch
        >>> loss = EQLLoss(tail=[0, 1])
        >>> # of class 0: 1 x log(2); the other one is rare
        >>> loss(torch.zeros(1, 2), torch.tensor([0]), avg_factor=1)
        tensor(0.6931)

    Source: Tan et al., "Equalization Loss for Long-Tailed Object Recognition", CVPR
    2020, equations 2 to 4. The softmax form is for classification alone.
    """

    def __init__(
        self,
        threshold: float = 1.1e-3,
        num_images: int | None = None,
        tail: Tail = "frequency",
        use_sigmoid: bool = True,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        compiled: bool | str = "auto",
    ) -> None:
        name = type(self).__name__
        check_choice(name, "use_sigmoid", use_sigmoid, (True,))
        super().__init__(True, reduction, loss_weight, compiled)
        self.link = SigmoidLink(start_bias=RARE_BIAS)
        self.tail = TailNegatives(name, threshold, 1.1e-3, num_images, tail)

    def terms(self, call: Call) -> Terms:
        """Return the factors of negatives."""
        return Terms(negative=self.tail(call))


@MODELS.register_module()
class DropLoss(ImbalanceLoss):
    r"""Equalization loss that spares rare classes in background rows as well.

    As :class:`EQLLoss`; in background rows a rare class is a negative only with the
    probability :math:`\mu`, the share of foreground rows whose class is rare, each
    element for itself.

    Args:
        threshold: Share of images below which a class is rare, >= 0; 0 is plain cross
            entropy. Default 1.0062e-3, the authors' for LVIS v1.
        num_images: As of :class:`EQLLoss`. Default None.
        tail: As of :class:`EQLLoss`. Default ``'frequency'``.
        sampled: Whether each element is dropped or kept as drawn; else all have the
            factor :math:`\mu`, which is that on average. Default True.
        use_sigmoid: Must be True. Default True.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        compiled: Whether to compile the loss; ``'auto'`` does on a GPU. Default
            ``'auto'``.

    Raises:
        TypeError, ValueError: As of :class:`EQLLoss`.
        RuntimeError: In the first training step, without ``imb_det.ImbalanceHook``.

    Source: Hsieh et al., "DropLoss for Long-Tail Instance Segmentation", AAAI 2021.
    Deviation: :math:`\mu` is that of the steps before, over all ranks, averaged with a
    momentum of 0.9, and 1 before the first foreground row; the authors take each
    rank's own batch.
    """

    def __init__(
        self,
        threshold: float = 1.0062e-3,
        num_images: int | None = None,
        tail: Tail = "frequency",
        sampled: bool = True,
        use_sigmoid: bool = True,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        compiled: bool | str = "auto",
    ) -> None:
        name = type(self).__name__
        check_choice(name, "use_sigmoid", use_sigmoid, (True,))
        super().__init__(True, reduction, loss_weight, compiled)
        self.link = SigmoidLink(start_bias=RARE_BIAS)
        self.tail = TailNegatives(
            name, threshold, 1.0062e-3, num_images, tail, drop=True, sampled=sampled
        )

    def terms(self, call: Call) -> Terms:
        """Return the factors of negatives."""
        return Terms(negative=self.tail(call))
