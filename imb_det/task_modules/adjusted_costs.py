"""Costs of matching by the probabilities that a loss trains."""

from __future__ import annotations

import copy
from typing import Any

import torch
from mmdet.models.task_modules.assigners import (
    ClassificationCost as MmdetClassificationCost,
)
from mmdet.models.task_modules.assigners import FocalLossCost as MmdetFocalLossCost
from mmengine.structures import InstanceData
from torch import Tensor

from imb_det.losses import FadingLoss, ImbalanceLoss, LossWrapper
from imb_det.losses.one_pass import adjusted
from imb_det.losses.rows import Rows
from imb_det.losses.terms import Call
from imb_det.registry import TASK_UTILS
from imb_det.statistics.class_vector import ClassVector

__all__ = ["AdjustedClassificationCost", "AdjustedFocalLossCost"]


class _Adjusted:
    """What both costs share: the loss of their head, and logits as it takes them."""

    uses_sigmoid: bool
    _loss: ImbalanceLoss | None = None

    def set_loss(self, loss: Any, num_classes: int) -> None:
        """Take the loss of the head; ``imb_det.ImbalanceHook`` hands it over.

        Args:
            loss: Of the head.
            num_classes: C.

        Raises:
            ValueError: It trains the plain logits, or with another activation.
        """
        name, kind = type(self).__name__, type(loss).__name__
        plain = f"write `type='{name.removeprefix('Adjusted')}'` into `match_costs`"
        if not isinstance(loss, ImbalanceLoss):
            raise ValueError(f"{name}: {kind} is no loss of imb_det; {plain}")
        if isinstance(loss, (LossWrapper, FadingLoss)):
            raise ValueError(
                f"{name}: {kind} is a loss around others, of which it is not known how "
                f"they shift logits; {plain}, or take the loss inside alone"
            )
        usual = loss.link.element is None if loss.use_sigmoid else loss.link.one_softmax
        if loss.use_sigmoid != self.uses_sigmoid or not usual:
            right = "FocalLossCost" if loss.use_sigmoid else "ClassificationCost"
            wanted = f"; for it there is `imb_det.Adjusted{right}`" if usual else ""
            raise ValueError(
                f"{name} takes a {'sigmoid' if self.uses_sigmoid else 'softmax'}, and "
                f"{kind} trains other probabilities{wanted or f'; {plain}'}"
            )
        if not _adjusts(loss, num_classes):
            raise ValueError(
                f"{name}: {kind}, as it is configured, trains the logits as they are, "
                f"so that nothing is to be adjusted; {plain}"
            )
        self._loss = loss

    @torch.no_grad()
    def _adjusted_for(self, scores: Tensor, label: int) -> Tensor:
        """Return logits (Q, K) as the loss takes them in rows of a class."""
        if self._loss is None:
            raise RuntimeError(
                f"{type(self).__name__} knows no loss: add `custom_hooks = "
                "[dict(type='imb_det.ImbalanceHook')]` to the config (in a loop of "
                "your own: imb_det.losses.bind_losses)"
            )
        rows = torch.full_like(scores[:, 0], label, dtype=torch.long)
        classes = scores.size(1) - self._loss.link.extra_channels
        terms = self._loss.terms(Call(scores, rows, None, classes, False))
        return adjusted(terms, None, Rows.of(scores, rows, None), False)

    def _of_objects(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return what there is of the class of each object, (Q, objects)."""
        scores = scores.detach()
        found = scores.new_zeros(len(scores), len(labels))
        for label in sorted(set(labels.tolist())):
            own = self._own(self._adjusted_for(scores, label), label)
            found[:, labels == label] = own[:, None].to(found.dtype)
        return found

    def _own(self, logits: Tensor, label: int) -> Tensor:
        """Return what the cost is of, of adjusted logits (Q, K): (Q,)."""
        raise NotImplementedError


@torch.no_grad()
def _adjusts(loss: ImbalanceLoss, num_classes: int) -> bool:
    """Tell whether logits enter a loss as others than they are.

    When the heads are told, it may not be known yet in which stage the training is.
    """
    parts = [part for part in loss.modules() if isinstance(part, ClassVector)]
    if any(part.stage_names and part.stage is None for part in parts):
        loss = copy.deepcopy(loss)
        for part in loss.modules():
            if isinstance(part, ClassVector) and part.stage_names:
                part.stage = part.stage_names[0]
                part.tell(torch.ones(num_classes))
    like = next(iter([*loss.buffers(), *loss.parameters()]), torch.zeros(()))
    channels = num_classes + loss.link.extra_channels
    empty = torch.zeros(0, channels, device=like.device)
    rows = torch.zeros(0, dtype=torch.long, device=like.device)
    return loss.terms(Call(empty, rows, None, num_classes, False)).adjusts


@TASK_UTILS.register_module()
class AdjustedFocalLossCost(_Adjusted, MmdetFocalLossCost):
    r"""mmdet's ``FocalLossCost`` of the logits as the loss of the head takes them.

    A loss such as :class:`imb_det.BalancedSoftmaxLoss` with ``use_sigmoid=True`` trains
    :math:`z'_c = s_c (z_c - m_c) + o_c`, and predicts with :math:`z_c`. mmdet matches
    queries with objects by :math:`z_c`. Here it is by :math:`z'_c`, with scale, margin
    and offset as in a row of the class of the object, so that queries are matched by
    the probabilities that are trained. Which of them is better is not known: try it.

    Args:
        alpha: Weight of positives, in [0, 1]. Default 0.25.
        gamma: Exponent, >= 0. Default 2.
        eps: Added to probabilities in logarithms, > 0. Default 1e-12.
        weight: Of this cost beside the others. Default 1.

    Raises:
        ValueError: When training starts, with a loss that does not adjust logits.
        RuntimeError: In the first iteration, without ``imb_det.ImbalanceHook``.

    Example:
        >>> costs = [
        ...     dict(type="imb_det.AdjustedFocalLossCost", weight=2.0),
        ...     dict(type="mmdet.BBoxL1Cost", weight=5.0, box_format="xywh"),
        ...     dict(type="mmdet.IoUCost", iou_mode="giou", weight=2.0),
        ... ]
        >>> assigner = dict(type="mmdet.HungarianAssigner", match_costs=costs)
        >>> model = dict(train_cfg=dict(assigner=assigner))

    Source: our own.
    """

    uses_sigmoid = True

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        eps: float = 1e-12,
        weight: float = 1.0,
    ) -> None:
        super().__init__(alpha=alpha, gamma=gamma, eps=eps, weight=weight)

    def _focal_loss_cost(self, cls_pred: Tensor, gt_labels: Tensor) -> Tensor:
        logits = self._of_objects(cls_pred, gt_labels)
        places = torch.arange(len(gt_labels), device=logits.device)
        cost: Tensor = super()._focal_loss_cost(logits, places)
        return cost

    def _own(self, logits: Tensor, label: int) -> Tensor:
        return logits[:, label]


@TASK_UTILS.register_module()
class AdjustedClassificationCost(_Adjusted, MmdetClassificationCost):
    """mmdet's ``ClassificationCost`` of the probabilities that the loss trains.

    See :class:`AdjustedFocalLossCost`; this is for losses with one softmax over classes
    and background, as DETR, MaskFormer and Mask2Former have.

    Args:
        weight: Of this cost beside the others. Default 1.

    Raises:
        ValueError: When training starts, with a loss that does not adjust logits.
        RuntimeError: In the first iteration, without ``imb_det.ImbalanceHook``.

    Source: our own.
    """

    uses_sigmoid = False

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__(weight=weight)

    def __call__(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        img_meta: dict | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Return the costs.

        Args:
            pred_instances: With ``scores``, logits (Q, C + 1).
            gt_instances: With ``labels``, int (objects,).
            img_meta: Not used.
            **kwargs: Not used.

        Returns:
            Minus the probabilities times ``weight``, (Q, objects).
        """
        own = self._of_objects(pred_instances.scores, gt_instances.labels)
        return -own * self.weight

    def _own(self, logits: Tensor, label: int) -> Tensor:
        return logits.softmax(1)[:, label]
