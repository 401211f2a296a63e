"""Losses of mask heads: the mask of an instance's own class."""

from __future__ import annotations

import inspect
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from imb_det.core import check_choice
from imb_det.statistics.class_vector import ClassVector
from imb_det.statistics.old_checkpoints import rename_old_numbers

from .one_pass import multiplied
from .overlap_loss import OverlapLoss

__all__ = ["MaskLoss", "WithMasks"]


class MaskLoss(OverlapLoss):
    r"""Binary cross entropy of masks; instances have the weight of their class.

    .. math:: L_i = \frac{w_{y_i}}{P} \sum_{p=1}^P \mathrm{BCE}(z_{i, y_i, p}, t_{ip})

    It takes what losses of masks as wholes take: masks of RoI heads with their classes,
    and in other heads masks, or points of masks, see :class:`OverlapLoss`.

    Args:
        class_weight: Weights of the classes.
        reduction: ``'none'``, ``'mean'`` over instances, or ``'sum'``. Default
            ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range.
    """

    use_mask = True
    only_logits = True

    def __init__(
        self,
        class_weight: ClassVector,
        reduction: str = "mean",
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(reduction=reduction, loss_weight=loss_weight)
        self.class_weight = class_weight

    def rows(
        self,
        x: Tensor,
        target: Tensor,
        logits: bool,
        factor: Tensor,
        out: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the losses of masks, and their derivatives times a factor."""
        x, target = x.flatten(1), target.flatten(1)
        pixels = max(x.size(1), 1)
        loss = F.binary_cross_entropy_with_logits(x, target, reduction="none")
        slope = torch.sigmoid(x, out=out).sub_(target)
        scale = (factor / pixels)[:, None]
        return loss.sum(1) / pixels, multiplied(slope, scale, slope)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any
    ) -> None:
        rename_old_numbers(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)


class WithMasks:
    """Mixin of losses that stand for one of masks with ``use_mask=True``.

    mmdet's configs have it so: one class for boxes and masks.
    """

    #: Loss of masks that it stands for; other arguments, and all of them by name.
    of_masks: type[MaskLoss]

    def __new__(
        cls,
        use_sigmoid: bool = False,
        use_mask: bool = False,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Make the loss of a mask head where the config says so.

        Raises:
            TypeError, ValueError: Arguments that a loss of masks does not have.
        """
        name = cls.__name__
        check_choice(name, "use_mask", use_mask, (True, False))
        if not use_mask:
            return super().__new__(cls)
        if use_sigmoid:
            raise ValueError(
                f"{name}: `use_sigmoid` and `use_mask` exclude each other; a mask loss "
                "is sigmoid by itself"
            )
        valid = tuple(inspect.signature(cls.of_masks).parameters)
        unknown = [*args, *(key for key in kwargs if key not in valid)]
        if unknown:
            raise TypeError(
                f"{name}: with `use_mask=True` the arguments are {valid}, by name, got "
                f"{unknown}"
            )
        return cls.of_masks(**kwargs)
