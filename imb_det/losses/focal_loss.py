"""Focal loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.logging import print_log
from torch import Tensor

from imb_det.core.checks import NUMBERS, check_number
from imb_det.registry import MODELS
from imb_det.statistics import ClassStats
from imb_det.statistics.class_weights import class_weights

from .base import ImbalanceLoss
from .class_sized import ClassSized
from .elements import FocalElement
from .one_pass import Element

__all__ = ["FocalLoss"]


@MODELS.register_module()
class FocalLoss(ClassSized, ImbalanceLoss):
    r"""Focal loss: easy examples count for little.

    .. math:: L = -\sum_c \left(\alpha_c\, y_c (1 - p_c)^\gamma \log p_c
              + (1 - \alpha_c) (1 - y_c)\, p_c^\gamma \log(1 - p_c)\right)

    with the sigmoid p. Heads divide it by the number of positives.

    Args:
        use_sigmoid: Must be True; the config must say so, as heads read it there.
            Default True.
        gamma: Exponent, >= 0; 0 is binary cross entropy. Default 2.
        alpha: Share of positives, in (0, 1): a number, C numbers in the order of the
            classes, or ``'auto'``, which raises the share of rare classes:
            :math:`\alpha_c / (1 - \alpha_c) = w_c / 3` with the weights
            ``class_weights(stats, 'sqrt_inverse')``, that is 0.25 for balanced data;
            it needs ``imb_det.ImbalanceHook``. Default 0.25.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        compiled: Whether to compile the loss. Default False.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range; when
            training starts: another number of alphas than classes, which are listed.

    Example:
        >>> loss = FocalLoss(gamma=0.0, alpha=0.5)  # half of binary cross entropy
        >>> loss(torch.zeros(1, 2), torch.tensor([0]), avg_factor=1)
        tensor(0.6931)

    Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, equation
    5. Alphas by class and ``'auto'`` are our own. For soft targets, where the paper
    says nothing, it is the mean of the losses of a positive and a negative.
    """

    alpha: Tensor

    def __init__(
        self,
        use_sigmoid: bool = True,
        gamma: float = 2.0,
        alpha: float | Sequence[float] | str = 0.25,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        compiled: bool = False,
    ) -> None:
        super().__init__(
            use_sigmoid,
            reduction=reduction,
            loss_weight=loss_weight,
            compiled=compiled,
        )
        name = type(self).__name__
        if not use_sigmoid:
            raise ValueError(
                f"{name}: focal loss is a sigmoid loss, `use_sigmoid` must be True; "
                "for softmax see imb_det.CDBLoss with `gamma`"
            )
        check_number(name, "gamma", gamma, 0, None)
        self.gamma = float(gamma)
        self.auto = alpha == "auto"
        if self.auto:
            self.register_sized("alpha")
            self.balances_by = "counts"
            return
        if isinstance(alpha, str):
            raise ValueError(
                f"{name}: `alpha` must be a number, a list or 'auto', got {alpha!r}"
            )
        numbers = [alpha] if isinstance(alpha, NUMBERS) else list(alpha)
        for number in numbers:
            check_number(name, "alpha", number, 0, 1, open_ends=True)
        content = torch.tensor([float(number) for number in numbers])
        if isinstance(alpha, NUMBERS):
            content = content[0]
        self.register_buffer("alpha", content, persistent=False)

    def set_class_stats(self, stats: ClassStats) -> None:
        """Compute the alphas, or check how many there are.

        Raises:
            ValueError: Another number of alphas than classes.
        """
        name = type(self).__name__
        if self.auto:
            weights = torch.as_tensor(class_weights(stats, "sqrt_inverse"))
            self.set_sized("alpha", weights / (weights + 3))
            print_log(
                f"{name}: alpha from {self.alpha.min():.3g} to {self.alpha.max():.3g}",
                logger="current",
            )
        elif self.alpha.dim() and len(self.alpha) != stats.num_classes:
            raise ValueError(
                f"{name}: `alpha` has {len(self.alpha)} numbers, but there are "
                f"{stats.num_classes} classes: {stats.classes}"
            )

    def prepare(
        self, cls_score: Tensor, label: Tensor, weight: Tensor | None, learn: bool
    ) -> tuple[Element, None]:
        """Return the focal loss of a negative, without alpha."""
        return FocalElement(self.gamma), None

    def class_factors(self, like: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Return alpha and 1 - alpha."""
        if self.auto and not len(self.alpha):
            raise RuntimeError(
                f"{type(self).__name__}: `alpha='auto'` needs the counts of the "
                "training set; add `custom_hooks = "
                "[dict(type='imb_det.ImbalanceHook')]` to the config"
            )
        if self.alpha.dim() == 0:
            return self.alpha, 1 - self.alpha
        alpha = self.sized("alpha", like, like.size(1))
        return alpha, 1 - alpha
