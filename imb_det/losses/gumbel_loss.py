"""Cross entropy of the Gumbel distribution, and Gumbel optimised loss."""

from __future__ import annotations

from imb_det.core import check_choice
from imb_det.registry import MODELS

from .base import ImbalanceLoss
from .links import GumbelLink
from .tail_negatives import Tail, TailNegatives
from .terms import Call, Terms

__all__ = ["GumbelLoss"]


@MODELS.register_module()
class GumbelLoss(ImbalanceLoss):
    r"""Cross entropy of :math:`p = e^{-e^{-z}}`, an asymmetric sigmoid.

    .. math:: L = -\sum_c \left(y_c \log p_c + w_c (1 - y_c) \log (1 - p_c)\right)

    with all w = 1, or with ``drop`` those of :class:`DropLoss`: that is Gumbel
    optimised loss (GOL). C outputs, which start with a bias of -2; predictions are made
    with the same p. Logits enter as if they were in [-4, 10].

    Args:
        drop: Whether rare classes are spared as negatives. Default False.
        threshold: With ``drop``: share of images below which a class is rare. Default
            1.1e-3, the authors' for LVIS v1.
        num_images: With ``drop``: as of :class:`EQLLoss`. Default None.
        tail: With ``drop``: as of :class:`EQLLoss`. Default ``'frequency'``.
        sampled: With ``drop``: as of :class:`DropLoss`. Default True.
        use_sigmoid: Must be True. Default True.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        compiled: Whether to compile the loss; ``'auto'`` does on a GPU. Default
            ``'auto'``.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range, or is of
            no use without ``drop``.
        RuntimeError: With ``drop``, in the first training step, without
            ``imb_det.ImbalanceHook``.

    Source: Alexandridis et al., "Long-tailed Instance Segmentation using Gumbel
    Optimized Loss", ECCV 2022. Their recipe has RFS, a cosine mask predictor and an NMS
    overlap of 0.3. Deviations: those of :class:`DropLoss`; logarithms of exact
    expressions; their limit of 20 for the loss is left out.
    """

    def __init__(
        self,
        drop: bool = False,
        threshold: float | None = None,
        num_images: int | None = None,
        tail: Tail | None = None,
        sampled: bool | None = None,
        use_sigmoid: bool = True,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        compiled: bool | str = "auto",
    ) -> None:
        name = type(self).__name__
        check_choice(name, "use_sigmoid", use_sigmoid, (True,))
        check_choice(name, "drop", drop, (True, False))
        super().__init__(True, reduction, loss_weight, compiled)
        self.link = GumbelLink()
        self.tail = None
        options = dict(
            threshold=threshold, num_images=num_images, tail=tail, sampled=sampled
        )
        if drop:
            self.tail = TailNegatives(
                name,
                threshold,
                1.1e-3,
                num_images,
                "frequency" if tail is None else tail,
                drop=True,
                sampled=True if sampled is None else sampled,
            )
        elif given := [key for key, value in options.items() if value is not None]:
            raise ValueError(f"{name}: {given} have an effect with `drop=True` only")

    def terms(self, call: Call) -> Terms:
        """Return the factors of negatives, if any."""
        return Terms(negative=None if self.tail is None else self.tail(call))
