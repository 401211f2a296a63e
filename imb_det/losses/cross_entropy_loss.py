"""Cross entropy with class weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor

from imb_det.core.checks import check_choice, check_number
from imb_det.registry import MODELS
from imb_det.statistics import ClassStats
from imb_det.statistics.class_weights import (
    NORMALISATIONS,
    WEIGHT_RULES,
    class_weights,
)

from .class_weighted import ClassWeightedLoss

__all__ = ["CrossEntropyLoss"]


@MODELS.register_module()
class CrossEntropyLoss(ClassWeightedLoss):
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
        use_mask: Whether this is the ``loss_mask`` of a mask head. Default False.
        class_weight: None for 1; a list of C numbers >= 0 in the order of the classes
            (softmax: or C + 1, background last); a dict of numbers by class name,
            others have 1; or a rule for the training set's counts, ``'inverse'``,
            ``'sqrt_inverse'``, ``'effective_number'`` or ``'median_frequency'``: see
            :func:`imb_det.statistics.class_weights`. Dict and rules need
            ``imb_det.ImbalanceHook``. Default None.
        bg_weight: Weight of background rows, >= 0. Default 1.
        weight_negatives: With sigmoid, whether ``class_weight`` also weighs the
            classes that a row does not have. Default False: positives only.
        beta: Of the effective number, in [0, 1). Default 0.999.
        max_ratio: Largest weight by a rule over the smallest one, >= 1; None for no
            limit. Default 100.
        normalize: Over what weights by a rule have mean 1, ``'classes'`` or
            ``'instances'``. With ``'instances'`` foreground as a whole keeps its weight
            against background. Default ``'classes'``.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``. Default ``'mean'``.
        loss_weight: Factor of the loss, >= 0. Default 1.
        compiled: Whether to compile the sigmoid loss. Default False.

    Raises:
        TypeError, ValueError: At construction for an argument; when training starts
            for weights that do not fit the classes, which are listed.

    Example:
        >>> loss = CrossEntropyLoss(class_weight=[1.0, 3.0])
        >>> score = torch.zeros(2, 3)
        >>> loss(score, torch.tensor([1, 2]), avg_factor=2)  # (3 + 1) log(3) / 2
        tensor(2.1972)

    Source: weighted cross entropy; effective number: Cui et al., "Class-Balanced Loss
    Based on Effective Number of Samples", CVPR 2019; median frequency: Eigen and
    Fergus, ICCV 2015, over images in place of pixels. Deviation from mmdet's class:
    in RoI heads a sigmoid loss has C channels and predicts with the sigmoid; labels
    below 0 are ignored, there is no ``ignore_index``. mmdet's ``DETRHead`` itself takes
    a number for ``class_weight``, and ``bg_cls_weight``, and makes a list of both; its
    subclasses take all forms.
    """

    class_weight: Tensor

    def __init__(
        self,
        use_sigmoid: bool = False,
        use_mask: bool = False,
        class_weight: str | Sequence[float] | Mapping[str, float] | None = None,
        bg_weight: float = 1.0,
        weight_negatives: bool = False,
        beta: float = 0.999,
        max_ratio: float | None = 100.0,
        normalize: str = "classes",
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
        check_number(name, "beta", beta, 0, 1 - 1e-12)
        if max_ratio is not None:
            check_number(name, "max_ratio", max_ratio, 1, None)
        check_choice(name, "normalize", normalize, NORMALISATIONS)
        self.beta = beta
        self.normalize = normalize
        self.max_ratio = max_ratio
        self.spec: str | list[float] | dict[str, float] | None
        if class_weight is None:
            self.spec = None
            self.register_buffer("class_weight", None)
        elif isinstance(class_weight, str):
            if class_weight not in WEIGHT_RULES:
                raise ValueError(
                    f"{name}: `class_weight` must be one of the rules "
                    f"{WEIGHT_RULES}, a list or a dict, got {class_weight!r}"
                )
            self.spec = class_weight
            self.balances_by = "counts"
        elif isinstance(class_weight, Mapping):
            self.spec = dict(class_weight)
            _check_weights(name, list(self.spec.values()))
        elif isinstance(class_weight, (Sequence, Tensor, np.ndarray)):
            self.spec = [float(number) for number in class_weight]
            _check_weights(name, self.spec)
        else:
            raise TypeError(
                f"{name}: `class_weight` must be None, a list, a dict by class name or "
                f"one of {WEIGHT_RULES}, got {class_weight!r}"
            )
        if isinstance(self.spec, list):
            # Given by the config: a checkpoint must not replace them.
            numbers = torch.tensor(self.spec)
            self.register_buffer("class_weight", numbers, persistent=False)
        elif self.spec is not None:
            self.register_sized("class_weight")

    def set_class_stats(self, stats: ClassStats) -> None:
        """Check the weights against the classes, or compute them.

        Args:
            stats: Counts of the training set.

        Raises:
            ValueError: Another number of weights, or a name that is no class.
        """
        name = type(self).__name__
        if self.spec is None:
            return
        if isinstance(self.spec, list):
            self._check_length(stats)
            return
        if isinstance(self.spec, str):
            weights = class_weights(
                stats,
                self.spec,
                beta=self.beta,
                max_ratio=self.max_ratio,
                normalize=self.normalize,
            )
        else:
            if unknown := sorted(set(self.spec) - set(stats.classes)):
                raise ValueError(
                    f"{name}: `class_weight` names {unknown}, which are no classes; "
                    f"the classes are {stats.classes}"
                )
            weights = np.array([self.spec.get(c, 1.0) for c in stats.classes])
        self.set_sized("class_weight", torch.as_tensor(weights))
        low, high = int(weights.argmin()), int(weights.argmax())
        print_log(
            f"{name}: class weights from {weights[low]:.3g} ('{stats.classes[low]}') "
            f"to {weights[high]:.3g} ('{stats.classes[high]}')",
            logger="current",
        )

    def _check_length(self, stats: ClassStats) -> None:
        given, c = len(self.class_weight), stats.num_classes
        background = not (self.use_sigmoid or self.use_mask)
        if given == c or (background and given == c + 1):
            return
        raise ValueError(
            f"{type(self).__name__}: `class_weight` has {given} numbers, but there are "
            f"{c} classes{' (and background)' * background}: {stats.classes}"
        )

    def weights(self, like: Tensor, num_classes: int) -> Tensor | None:
        """Return the weights, (C,), or (C + 1,) as given for softmax; None for 1."""
        if self.spec is None:
            return None
        weights = self.class_weight
        if len(weights) == 0:
            raise RuntimeError(
                f"{type(self).__name__}: `class_weight` needs the classes of the "
                "training set; add `custom_hooks = "
                "[dict(type='imb_det.ImbalanceHook')]` to the config"
            )
        if not (self.use_sigmoid or self.use_mask) and len(weights) == num_classes + 1:
            if self.bg_weight != 1:
                raise ValueError(
                    f"{type(self).__name__}: `class_weight` ends with a weight for "
                    f"background ({num_classes + 1} numbers for {num_classes} "
                    "classes), so leave `bg_weight` at 1"
                )
            return weights.to(like.device)
        return self.sized("class_weight", like, num_classes)


def _check_weights(name: str, weights: list[Any]) -> None:
    for number in weights:
        check_number(name, "class_weight", number, 0, None)
