"""CDB-W: cross entropy weighted by the difficulty of classes."""

from __future__ import annotations

import torch
from torch import Tensor

from imb_det.core.checks import check_number
from imb_det.registry import MODELS

from .class_weighted import ClassWeightedLoss
from .elements import FocalElement
from .one_pass import Element

__all__ = ["CDBLoss"]


@MODELS.register_module()
class CDBLoss(ClassWeightedLoss):
    r"""Class-wise difficulty-balanced loss: hard classes weigh more.

    .. math:: L = -w_y (1 - p_y)^\gamma \log p_y, \qquad
              w_c \propto d_c^\tau, \quad \textstyle\sum_c w_c = C

    with the difficulty :math:`d_c = 1 - A_c` of a class, whose accuracy A_c
    ``imb_det.ClassDifficultyHook`` measures and whose weights it hands over, one epoch
    after the other; at first they are all 1.

    With sigmoid, w_c weighs the column of class c, absent or present, by default; in
    mask heads the instances of class c.

    Args:
        use_sigmoid: Sigmoid (C channels) or softmax (C + 1). Default False. The config
            must say it in dense heads.
        use_mask: Whether this is the ``loss_mask`` of a mask head; ``gamma`` then
            must be 0. Default False.
        gamma: Exponent of the focal form, >= 0. Default 0: cross entropy.
        bg_weight: Weight of background rows, >= 0. Default 1.
        weight_negatives: With sigmoid, whether weights also apply to the classes that
            a row does not have. Default True.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        compiled: Whether to compile the sigmoid loss. Default False.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range.
        RuntimeError: In the first training step, without the hook.

    Example:
        >>> loss = CDBLoss()
        >>> loss.set_class_difficulty_weights(torch.tensor([0.5, 1.5]))
        >>> loss(torch.zeros(1, 3), torch.tensor([1]))  # 1.5 log(3)
        tensor(1.6479)

    Source: Sinha, Ohashi, Nakamura, "Class-Wise Difficulty-Balanced Loss for Solving
    Class-Imbalance", ACCV 2020, equations 1 to 4 (softmax). Sigmoid, masks, the focal
    form and the weight of background are our own. The authors' code divides by the
    sum of the weights of a batch; here heads divide by ``avg_factor``.
    """

    class_weight: Tensor
    balances_by = "difficulty"

    def __init__(
        self,
        use_sigmoid: bool = False,
        use_mask: bool = False,
        gamma: float = 0.0,
        bg_weight: float = 1.0,
        weight_negatives: bool = True,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        compiled: bool = False,
    ) -> None:
        super().__init__(
            use_sigmoid,
            use_mask,
            bg_weight,
            weight_negatives,
            reduction=reduction,
            loss_weight=loss_weight,
            compiled=compiled,
        )
        name = type(self).__name__
        check_number(name, "gamma", gamma, 0, None)
        if use_mask and gamma:
            raise ValueError(f"{name}: mask losses have no focal form, leave `gamma`")
        self.gamma = float(gamma)
        self.informed = False
        self.register_sized("class_weight")

    def set_class_difficulty_weights(self, weights: Tensor) -> None:
        """Take the weights of the classes from now on.

        Args:
            weights: Float (C,), >= 0.
        """
        self.set_sized("class_weight", weights)
        self.informed = True

    def weights(self, like: Tensor, num_classes: int) -> Tensor | None:
        """Return the weights, (C,), or None before the first ones."""
        if self.training and not self.informed:
            raise RuntimeError(
                f"{type(self).__name__}: nothing measures the difficulty of classes; "
                "add `custom_hooks = [dict(type='imb_det.ImbalanceHook'), "
                "dict(type='imb_det.ClassDifficultyHook', source='score')]` to the "
                "config (in a loop of your own: `set_class_difficulty_weights`)"
            )
        if not len(self.class_weight):
            return None
        return self.sized("class_weight", like, num_classes)

    def prepare(
        self, cls_score: Tensor, label: Tensor, weight: Tensor | None, learn: bool
    ) -> tuple[Element, None]:
        """Return the focal loss of a negative."""
        return FocalElement(self.gamma), None

    def softmax_element(self, nll: Tensor) -> Tensor:
        """Return the focal form for -log(probability of the class)."""
        if self.gamma == 0:
            return nll
        # Not below 1e-12, where the slope of a power below 1 has no end.
        missing = (-torch.expm1(-nll)).clamp(min=1e-12)
        return missing**self.gamma * nll
