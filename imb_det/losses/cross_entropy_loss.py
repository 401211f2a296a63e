"""Cross entropy with class weights."""

from __future__ import annotations

from imb_det.registry import MODELS

from .base import ImbalanceLoss
from .class_weighted import (
    ClassWeight,
    check_weighting,
    class_weight_vector,
    weighting_terms,
)
from .mask_loss import MaskLoss, WithMasks
from .terms import Call, Terms

__all__ = ["CrossEntropyLoss", "MaskCrossEntropyLoss"]


@MODELS.register_module()
class MaskCrossEntropyLoss(MaskLoss):
    """Binary cross entropy of masks, with weights of classes; see :class:`MaskLoss`.

    Args:
        class_weight: As of :class:`CrossEntropyLoss`. Default None.
        beta: Of the effective number, in [0, 1). Default 0.999.
        max_ratio: Largest weight by a rule over the smallest one. Default 100.
        normalize: ``'classes'`` or ``'instances'``. Default ``'instances'``.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.

    Raises:
        TypeError, ValueError: An argument is of another type or out of range.

    Source: the mask loss of He et al., "Mask R-CNN", ICCV 2017; the weights are ours.
    """

    def __init__(
        self,
        class_weight: ClassWeight = None,
        beta: float = 0.999,
        max_ratio: float | None = 100.0,
        normalize: str = "instances",
        reduction: str = "mean",
        loss_weight: float = 1.0,
    ) -> None:
        weights = class_weight_vector(
            self,
            class_weight,
            False,
            beta=beta,
            max_ratio=max_ratio,
            normalize=normalize,
        )
        super().__init__(weights, reduction, loss_weight)


@MODELS.register_module()
class CrossEntropyLoss(WithMasks, ImbalanceLoss):
    r"""Cross entropy, softmax or sigmoid, with weights of classes.

    .. math:: L = -w_y \log p_y \quad\text{(softmax)}, \qquad
              L = -\sum_c \left(w_c\, y_c \log p_c + (1 - y_c) \log(1 - p_c)\right)
              \quad\text{(sigmoid)}

    Weights by a rule are computed from the training set when training starts. They
    have mean 1 over classes or instances (``'median_frequency'``: the median class has
    1), so on balanced data they are all 1 and the loss is as large as without them.

    Args:
        use_sigmoid: Sigmoid (C channels) or softmax (C + 1). Default False. The config
            must say it in dense heads.
        use_mask: Whether this is the ``loss_mask`` of a mask head; it then is a
            :class:`MaskCrossEntropyLoss`, whose arguments are those below but
            ``bg_weight``, ``weight_negatives`` and ``compiled``. Default False.
        class_weight: None for 1; a number >= 0 for all classes; a list of C numbers in
            the order of the classes (softmax: or C + 1, background last); a dict of
            numbers by class name, others have 1; a rule for the training set's counts,
            ``'inverse'``, ``'sqrt_inverse'``, ``'effective_number'``,
            ``'class_beta'``, ``'power'`` or ``'median_frequency'``, or with its options
            ``dict(rule='effective_number', beta=0.9999, max_ratio=None)``: see
            :func:`imb_det.statistics.class_weights`; or ``dict(stages={'plain': None,
            'reweighted': 'inverse'})`` with one of these for each stage of the
            training. Dict and rules need ``imb_det.ImbalanceHook``, stages
            ``imb_det.StageHook``. Default None.
        bg_weight: Weight of background rows, >= 0. Default 1.
        weight_negatives: With sigmoid, whether ``class_weight`` also weighs the
            classes that a row does not have. Default False: positives only.
        beta: Of the effective number, in [0, 1). Default 0.999.
        max_ratio: Largest weight by a rule over the smallest one, >= 1; None for no
            limit. Default 100.
        normalize: Over what weights by a rule have mean 1, ``'classes'`` or
            ``'instances'``. With ``'instances'`` foreground as a whole keeps its weight
            against background. Default ``'instances'``.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        compiled: Whether to compile the loss; ``'auto'`` does on a GPU. Default
            ``'auto'``.
        ignore_index: For the ``loss_seg`` of semantic heads: label of pixels that do
            not count, such as 255. Every output is a class then, and logits may be (B,
            C, H, W); rules count pixels, or images with ``by='images'``. Default None,
            for boxes.
        avg_non_ignore: Whether a mean is over the pixels that count, not over all, as
            mmdet's is. Default False.

    Raises:
        TypeError, ValueError: At construction for an argument; when training starts
            for weights that do not fit the classes, which are listed.

    Example:
        >>> import torch
        >>> loss = CrossEntropyLoss(class_weight=[1.0, 3.0])
        >>> score = torch.zeros(2, 3)
        >>> loss(score, torch.tensor([1, 2]), avg_factor=2)  # (3 + 1) log(3) / 2
        tensor(2.1972)

    Source: weighted cross entropy; effective number: Cui et al., "Class-Balanced Loss
    Based on Effective Number of Samples", CVPR 2019; median frequency: Eigen and
    Fergus, ICCV 2015, over images in place of pixels. Deviation from mmdet's class:
    in RoI heads a sigmoid loss has C channels and predicts with the sigmoid; labels
    below 0 are always ignored, and ``ignore_index`` is for pixels alone. mmdet's
    ``DETRHead`` itself takes a number for ``class_weight``, and ``bg_cls_weight``, and
    makes a list of both; its subclasses take all forms.
    """

    of_masks = MaskCrossEntropyLoss

    def __init__(
        self,
        use_sigmoid: bool = False,
        use_mask: bool = False,
        class_weight: ClassWeight = None,
        bg_weight: float = 1.0,
        weight_negatives: bool = False,
        beta: float = 0.999,
        max_ratio: float | None = 100.0,
        normalize: str = "instances",
        reduction: str = "mean",
        loss_weight: float = 1.0,
        compiled: bool | str = "auto",
        ignore_index: int | None = None,
        avg_non_ignore: bool = False,
    ) -> None:
        super().__init__(use_sigmoid, reduction, loss_weight, compiled)
        check_weighting(type(self).__name__, bg_weight, weight_negatives)
        self.bg_weight = bg_weight
        self.weight_negatives = weight_negatives
        self.class_weight = class_weight_vector(
            self,
            class_weight,
            not use_sigmoid,
            beta=beta,
            max_ratio=max_ratio,
            normalize=normalize,
        )
        self.take_pixels(ignore_index, avg_non_ignore)

    def terms(self, call: Call) -> Terms:
        """Return the factors of the classes."""
        return weighting_terms(
            self, call, self.class_weight, self.bg_weight, self.weight_negatives
        )
