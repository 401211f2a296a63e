"""Heads of queries, with losses whose numbers go by class."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from mmdet.models.dense_heads import DeformableDETRHead as MmdetDeformableDETRHead
from mmdet.models.dense_heads import DETRHead as MmdetDETRHead
from mmengine.config import ConfigDict
from torch import Tensor, nn

from imb_det.losses import ImbalanceLoss, RowWeights
from imb_det.registry import MODELS

__all__ = ["DETRHead", "DeformableDETRHead"]


_OF_DETR = dict(
    type="mmdet.CrossEntropyLoss",
    use_sigmoid=False,
    loss_weight=1.0,
    class_weight=1.0,
    bg_cls_weight=0.1,
)
#: Forms of `class_weight` that are no one number.
_BY_CLASS = (str, Mapping, list, tuple)


@MODELS.register_module()
class DETRHead(MmdetDETRHead):
    """DETR's head, with ``class_weight`` in every form that the loss takes.

    mmdet's head reads ``class_weight`` itself and takes one number for all classes. The
    weight of background is that of the loss here, such as its ``bg_weight``, and the
    head, which divides by the number of objects and, times that weight, of other
    queries, asks for it. Weights of classes are no part of the divisor: by a rule their
    mean over objects is 1.

    Args:
        num_classes: C.
        *args: Of mmdet's head.
        loss_cls: Config of the loss; mmdet's own with ``bg_cls_weight`` as in its head.
            Default: None, mmdet's.
        **kwargs: Of mmdet's head.

    Example:
        >>> head = dict(
        ...     type="imb_det.DETRHead",
        ...     num_classes=80,
        ...     loss_cls=dict(
        ...         type="imb_det.CrossEntropyLoss",
        ...         use_sigmoid=False,
        ...         class_weight="sqrt_inverse",
        ...         bg_weight=0.1,
        ...     ),
        ... )

    Source: Carion et al., "End-to-End Object Detection with Transformers", ECCV 2020.
    """

    def __init__(
        self,
        num_classes: int,
        *args: Any,
        loss_cls: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self._weights = RowWeights()
        given = dict(_OF_DETR if loss_cls is None else loss_cls)
        number = given.get("class_weight")
        kind = given["type"]
        place = kind if isinstance(kind, str) else kind.__module__
        is_ours = place.startswith("imb_det.")
        # mmdet's head makes a list of one number, for background too unless it is told.
        one_number = isinstance(number, (int, float)) and not is_ours
        background = given.pop("bg_cls_weight", number if one_number else None)
        if background is not None and is_ours and isinstance(number, _BY_CLASS):
            given["bg_weight"] = float(background)
        elif background is not None:
            of_classes = 1.0 if number is None else float(number)
            weights = [of_classes] * num_classes
            given["class_weight"] = [*weights, float(background)]
        super().__init__(num_classes, *args, loss_cls=ConfigDict(given), **kwargs)
        if background is not None:
            self.bg_cls_weight = float(background)

    @property
    def bg_cls_weight(self) -> float:
        """The weight of background rows."""
        loss = getattr(self, "loss_cls", None)
        if not isinstance(loss, ImbalanceLoss):
            return self._given
        if loss.use_sigmoid:
            return 0.0
        return self._weights(loss, self.num_classes)[-1]

    @bg_cls_weight.setter
    def bg_cls_weight(self, value: float) -> None:
        self._given = value  # for other losses


@MODELS.register_module()
class DeformableDETRHead(MmdetDeformableDETRHead):
    """Deformable DETR's head, whose encoder proposes objects of no class.

    In two stages the encoder is trained to tell objects from background, as class 0. In
    mmdet's head the loss of the decoder does that, and numbers of the first class, its
    weight or its shift, change it. Here it has a loss of its own.

    Args:
        *args: Of mmdet's head.
        loss_enc_cls: Config of the loss of the encoder's proposals, a sigmoid loss.
            Default: None, focal loss with the ``loss_weight`` of ``loss_cls``.
        **kwargs: Of mmdet's head.

    Source: Zhu et al., "Deformable DETR: Deformable Transformers for End-to-End Object
    Detection", ICLR 2021. The loss of its own is ours.
    """

    loss_cls: nn.Module

    def __init__(
        self, *args: Any, loss_enc_cls: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        if loss_enc_cls is None:
            weight = getattr(self.loss_cls, "loss_weight", 1.0)
            loss_enc_cls = dict(
                type="mmdet.FocalLoss",
                use_sigmoid=True,
                gamma=2.0,
                alpha=0.25,
                loss_weight=weight,
            )
        self.loss_enc_cls = MODELS.build(loss_enc_cls)
        if not getattr(self.loss_enc_cls, "use_sigmoid", False):
            raise ValueError(
                f"{type(self).__name__}: `loss_enc_cls` must be a sigmoid loss, as the "
                f"encoder has no output for background: {loss_enc_cls}"
            )

    def loss_by_feat(
        self,
        all_layers_cls_scores: Tensor,
        all_layers_bbox_preds: Tensor,
        enc_cls_scores: Tensor | None,
        enc_bbox_preds: Tensor | None,
        batch_gt_instances: Sequence[Any],
        batch_img_metas: Sequence[dict],
        batch_gt_instances_ignore: Sequence[Any] | None = None,
    ) -> dict[str, Tensor]:
        """Return the losses of all layers, and those of the encoder.

        Args:
            all_layers_cls_scores: (layers, images, queries, channels).
            all_layers_bbox_preds: (layers, images, queries, 4).
            enc_cls_scores: Of the encoder, (images, places, channels), or None.
            enc_bbox_preds: (images, places, 4), or None.
            batch_gt_instances: Objects of each image.
            batch_img_metas: Of each image.
            batch_gt_instances_ignore: None.
        """
        losses = super().loss_by_feat(
            all_layers_cls_scores,
            all_layers_bbox_preds,
            None,
            None,
            batch_gt_instances,
            batch_img_metas,
            batch_gt_instances_ignore,
        )
        if enc_cls_scores is None:
            return losses
        objects = copy.deepcopy(batch_gt_instances)
        for instances in objects:
            instances.labels.zero_()
        of_classes, self.loss_cls = self.loss_cls, self.loss_enc_cls
        try:
            found = self.loss_by_feat_single(
                enc_cls_scores,
                enc_bbox_preds,
                batch_gt_instances=objects,
                batch_img_metas=batch_img_metas,
            )
        finally:
            self.loss_cls = of_classes
        names = ("enc_loss_cls", "enc_loss_bbox", "enc_loss_iou")
        return {**losses, **dict(zip(names, found, strict=True))}
