"""CDB-W: cross entropy weighted by the difficulty of classes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from torch import Tensor

from imb_det.core import check_number
from imb_det.registry import MODELS
from imb_det.statistics.class_vector import ClassVector

from .base import ImbalanceLoss
from .class_weighted import check_weighting, weighting_terms
from .elements import FocalElement, focal_of_nll
from .mask_loss import MaskLoss, WithMasks
from .terms import Call, Terms

__all__ = ["CDBLoss", "MaskCDBLoss"]

_TOLD_BY = (
    "`custom_hooks = [dict(type='imb_det.ImbalanceHook'), "
    "dict(type='imb_det.ClassDifficultyHook', source='score')]`, which measures the "
    "difficulty of classes (in a loop of your own: `set_class_difficulty_weights`),"
)


class _Difficulty:
    """What the losses of boxes and of masks share: weights that a hook hands over."""

    class_weight: ClassVector
    balances_by = "difficulty"

    def set_class_difficulty_weights(self, weights: Tensor) -> None:
        """Take the weights of the classes from now on.

        Args:
            weights: Float (C,), >= 0.
        """
        self.class_weight.tell(weights)


@MODELS.register_module()
class MaskCDBLoss(_Difficulty, MaskLoss):
    """Binary cross entropy of masks, weighted by the difficulty of classes.

    Args:
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range.
        RuntimeError: In the first training step, without the hook.

    Source: as :class:`CDBLoss`; its use for masks is our own.
    """

    def __init__(self, reduction: str = "mean", loss_weight: float = 1.0) -> None:
        weights = ClassVector(type(self).__name__, "class_weight", told_by=_TOLD_BY)
        super().__init__(weights, reduction, loss_weight)


@MODELS.register_module()
class CDBLoss(WithMasks, _Difficulty, ImbalanceLoss):
    r"""Class-wise difficulty-balanced loss: hard classes weigh more.

    .. math:: L = -w_y (1 - p_y)^\gamma \log p_y, \qquad
              w_c \propto d_c^\tau, \quad \textstyle\sum_c w_c = C

    with the difficulty :math:`d_c = 1 - A_c` of a class, whose accuracy A_c
    ``imb_det.ClassDifficultyHook`` measures and whose weights it hands over, one epoch
    after the other; at first they are all 1. The exponent is the hook's ``tau``.

    With sigmoid, w_c weighs the column of class c, absent or present, by default; in
    mask heads the instances of class c.

    Args:
        use_sigmoid: Sigmoid (C channels) or softmax (C + 1). Default False. The config
            must say it in dense heads.
        use_mask: Whether this is the ``loss_mask`` of a mask head; it then is a
            :class:`MaskCDBLoss`, which takes ``reduction`` and ``loss_weight`` alone.
            Default False.
        gamma: Exponent of the focal form, >= 0. Default 0: cross entropy.
        bg_weight: Weight of background rows, >= 0. Default 1.
        weight_negatives: With sigmoid, whether weights also apply to the classes that
            a row does not have. Default True.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        compiled: Whether to compile the loss; ``'auto'`` does on a GPU. Default
            ``'auto'``.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range.
        RuntimeError: In the first training step, without the hook.

    Example:
        >>> import torch
        >>> loss = CDBLoss()
        >>> loss.set_class_difficulty_weights(torch.tensor([0.5, 1.5]))
        >>> loss(torch.zeros(1, 3), torch.tensor([1]))  # 1.5 log(3)
        tensor(1.6479)

    Source: Sinha, Ohashi, Nakamura, "Class-Wise Difficulty-Balanced Loss for Solving
    Class-Imbalance", ACCV 2020, equations 1 to 4 (softmax). Sigmoid, masks, the focal
    form of a softmax and the weight of background are our own. The authors' code for
    CIFAR and EGTEA divides by the number of examples, as here the ``avg_factor`` of
    RoI heads; that for ImageNet by the sum of the weights of a batch, and its option
    ``focal_gamma`` is a focal loss of sigmoids. Its exponent differs too, see
    ``imb_det.difficulty.class_difficulty.dynamic_tau``.
    """

    of_masks = MaskCDBLoss

    def __init__(
        self,
        use_sigmoid: bool = False,
        use_mask: bool = False,
        gamma: float = 0.0,
        bg_weight: float = 1.0,
        weight_negatives: bool = True,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        compiled: bool | str = "auto",
    ) -> None:
        super().__init__(use_sigmoid, reduction, loss_weight, compiled)
        name = type(self).__name__
        check_number(name, "gamma", gamma, 0, None)
        check_weighting(name, bg_weight, weight_negatives)
        self.gamma = float(gamma)
        self.bg_weight = bg_weight
        self.weight_negatives = weight_negatives
        self.class_weight = ClassVector(name, "class_weight", told_by=_TOLD_BY)

    def terms(self, call: Call) -> Terms:
        """Return the factors of the classes, and the focal form."""
        terms = weighting_terms(
            self, call, self.class_weight, self.bg_weight, self.weight_negatives
        )
        if self.gamma == 0:
            return terms
        if self.use_sigmoid:
            return replace(terms, element=FocalElement(self.gamma))
        return replace(terms, of_nll=partial(focal_of_nll, gamma=self.gamma))
