"""Heads of queries for masks, with losses whose numbers go by class."""

from __future__ import annotations

from typing import Any

import torch
from mmdet.models.dense_heads import Mask2FormerHead as MmdetMask2FormerHead
from mmdet.models.dense_heads import MaskFormerHead as MmdetMaskFormerHead
from mmengine.config import ConfigDict

from imb_det.losses import ImbalanceLoss, RowWeights, ToldInstances
from imb_det.registry import MODELS

__all__ = ["Mask2FormerHead", "MaskFormerHead"]


class _AsksItsLoss:
    """Builds a head of mmdet with any softmax loss, and divides by its weights."""

    loss_cls: Any
    loss_mask: Any
    loss_dice: Any
    num_classes: int

    def __init__(self, *args: Any, loss_cls: dict[str, Any], **kwargs: Any) -> None:
        given = ConfigDict(loss_cls)
        numbers = given.get("class_weight")
        # mmdet's head reads numbers from the config, which may have none, or a rule.
        has_numbers = isinstance(numbers, (list, tuple))
        readable = given if has_numbers else ConfigDict(_PLAIN)
        self._weights = RowWeights()
        super().__init__(*args, loss_cls=readable, **kwargs)  # type: ignore[call-arg]
        self.loss_cls = MODELS.build(given)

    def get_targets(self, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Return the targets of mmdet's head, and tell losses of masks the classes."""
        found: tuple[Any, ...] = super().get_targets(*args, **kwargs)  # type: ignore[misc]
        labels, mask_weights = torch.cat(found[0]), torch.cat(found[3])
        for loss in (self.loss_mask, self.loss_dice):
            if isinstance(loss, ToldInstances):
                loss.set_instances(labels[mask_weights > 0], self.num_classes)
        return found

    @property
    def class_weight(self) -> list[float]:
        """Weights of rows by class, C + 1, background last."""
        loss = getattr(self, "loss_cls", None)
        if isinstance(loss, ImbalanceLoss):
            return self._weights(loss, self.num_classes)
        return self._given or [1.0] * (self.num_classes + 1)

    @class_weight.setter
    def class_weight(self, value: list[float] | None) -> None:
        self._given = value  # by mmdet's head, for other losses


_PLAIN = dict(type="mmdet.CrossEntropyLoss", use_sigmoid=False, class_weight=None)


@MODELS.register_module()
class MaskFormerHead(_AsksItsLoss, MmdetMaskFormerHead):
    """MaskFormer's head, with ``class_weight`` in every form that the loss takes.

    mmdet's head reads C + 1 numbers from the config and takes nothing else. Here every
    loss with one softmax over classes and background may stand, and the head divides by
    the sum of its weights of rows. ``loss_mask`` and ``loss_dice`` are told the classes
    of their instances: an :class:`imb_det.InstanceWeightedLoss`, or a loss of masks of
    this library, such as :class:`imb_det.DiceLoss`.

    Args:
        *args: Of mmdet's head.
        loss_cls: Config of the loss.
        **kwargs: Of mmdet's head.

    Source: Cheng et al., "Per-Pixel Classification is Not All You Need for Semantic
    Segmentation", NeurIPS 2021.
    """


@MODELS.register_module()
class Mask2FormerHead(_AsksItsLoss, MmdetMask2FormerHead):
    """Mask2Former's head, with ``class_weight`` in every form that the loss takes.

    See :class:`imb_det.MaskFormerHead`.

    Args:
        *args: Of mmdet's head.
        loss_cls: Config of the loss.
        **kwargs: Of mmdet's head.

    Example:
        >>> loss_cls = dict(
        ...     type="imb_det.CrossEntropyLoss",
        ...     use_sigmoid=False,
        ...     loss_weight=2.0,
        ...     class_weight="sqrt_inverse",
        ...     bg_weight=0.1,
        ... )
        >>> head = dict(type="imb_det.Mask2FormerHead", loss_cls=loss_cls)

    Source: Cheng et al., "Masked-attention Mask Transformer for Universal Image
    Segmentation", CVPR 2022.
    """
